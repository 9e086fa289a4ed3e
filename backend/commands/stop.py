"""``stop``: has the running supervisor close all devices and end."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING, Final

from backend.commands.failure import CommandError
from backend.commands.options import add_config, add_run_dir, load_config
from backend.commands.supervisor import add_socket, ask, converse

if TYPE_CHECKING:
    import argparse

HELP = "close all devices of all guests, and end the running supervisor"
EXAMPLE = "xen-fileproxy stop --run-dir /tmp/fileproxy"

_LAST_STEPS: Final = 60.0
"""Seconds for what a supervisor does after it has hung up: milliseconds, where nothing is wrong."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_config(parser)
    add_run_dir(parser)
    add_socket(parser)


def run(args: argparse.Namespace) -> int:
    """Ask, and wait until the supervisor's process is gone."""
    path = args.socket or load_config(args).status_socket
    document = ask(path)
    if sys.stderr.isatty():
        serving = sum(device["state"] == "connected" for device in document["devices"])
        sys.stderr.write(f"closing {serving} connected devices\n")
    try:
        process = os.pidfd_open(document["pid"])
    except ProcessLookupError:  # it has ended since it answered
        return 0
    try:
        # Without a bound of ours: the supervisor has one for each device, and ends by itself.
        converse(path, b"stop\n", None)
        # It still holds what the next one needs: the lock, and systemd's word that it runs.
        if not select.select([process], [], [], _LAST_STEPS)[0]:
            raise CommandError(f"process {document['pid']} hung up, but does not end")
    finally:
        os.close(process)
    return 0
