"""``run``: the supervisor in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend import logs
from backend.commands.failure import CommandError
from backend.commands.options import (
    add_config,
    add_no_sandbox,
    add_run_dir,
    add_verbose,
    load_config,
)

if TYPE_CHECKING:
    import argparse

HELP = "serve all devices of all guests, in the foreground"
EXAMPLE = "xen-fileproxy run --platform embedded:/tmp/hv --run-dir /tmp/fileproxy -v"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_config(parser)
    add_run_dir(parser)
    parser.add_argument(
        "--trace",
        metavar="FILE",
        help="write all 9P messages to this new capture, which Wireshark and tshark open",
    )
    add_no_sandbox(parser)
    add_verbose(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal: SIGTERM leaves the workers serving, SIGINT closes all devices."""
    from backend.supervisor import run as supervisor
    from backend.version import version

    config = load_config(args)
    logs.set_up(config.log_level)
    try:
        supervisor.run(config, version=version(), trace=args.trace)
    except supervisor.StartError as error:
        raise CommandError(str(error)) from error
    return 0
