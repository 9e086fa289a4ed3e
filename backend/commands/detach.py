"""``detach``: takes a share away from a running domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.commands.failure import CommandError
from backend.commands.options import add_config, devid, domid, load_config, seconds
from backend.commands.stores import open_store
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    import argparse

HELP = "take a share away from a running domain"
EXAMPLE = "xen-fileproxy detach 5 --devid 0"

_GONE = (XenbusState.UNKNOWN, XenbusState.CLOSED)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("domid", metavar="DOMID", type=domid, help="the domain's number")
    parser.add_argument(
        "--devid", metavar="N", type=devid, default=0, help="the device's number (default: 0)"
    )
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=seconds,
        default=10.0,
        help="how long the backend may take to close (default: %(default)g)",
    )
    parser.add_argument(
        "--force", action="store_true", help="remove the device even if the backend does not close"
    )
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the backend to close, wait, remove the nodes."""
    from backend import toolstack

    with open_store(load_config(args).platform) as (store, own):
        device = toolstack.ends(own, args.domid, args.devid)
        try:
            toolstack.ask_to_close(store, device)
        except toolstack.ToolstackError as error:
            raise CommandError(str(error)) from error
        state = toolstack.wait_for(store, device, lambda state: state in _GONE, args.wait)
        if state not in _GONE and not args.force:
            raise CommandError(
                f"{args.domid}/{args.devid}: the backend did not close within {args.wait:g} s; "
                "--force removes the device all the same"
            )
        toolstack.remove(store, device)
    return 0
