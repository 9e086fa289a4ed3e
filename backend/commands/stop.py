"""``stop``: has the running supervisor close all devices and end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from backend.commands.options import add_config, add_run_dir, load_config
from backend.commands.supervisor import add_socket, ask, converse

if TYPE_CHECKING:
    import argparse

HELP = "close all devices of all guests, and end the running supervisor"
EXAMPLE = "xen-fileproxy stop --run-dir /tmp/fileproxy"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_config(parser)
    add_run_dir(parser)
    add_socket(parser)


def run(args: argparse.Namespace) -> int:
    """Ask, and wait until the supervisor is gone."""
    path = args.socket or load_config(args).status_socket
    if sys.stderr.isatty():
        serving = sum(device["state"] == "connected" for device in ask(path)["devices"])
        sys.stderr.write(f"closing {serving} connected devices\n")
    # Without a bound of ours: the supervisor has one for each device, and ends by itself.
    converse(path, b"stop\n", None)
    return 0
