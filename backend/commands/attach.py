"""``attach``: gives a share to a running domain."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from backend.commands.failure import CommandError
from backend.commands.options import add_config, devid, domid, load_config, seconds
from backend.commands.share_options import add_share, share_of
from backend.commands.stores import open_store
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    import argparse

    from backend.toolstack import Ends
    from protocol.xenpv.ports import Store

HELP = "attach a share to a running domain"
EXAMPLE = "xen-fileproxy attach 5 --path /srv/files --tag files --max-space 1024 --commit atomic"

_UNTIL = {
    "offered": (XenbusState.INIT_WAIT, XenbusState.CONNECTED),
    "connected": (XenbusState.CONNECTED,),
}
_ENDED = (XenbusState.UNKNOWN, XenbusState.CLOSING, XenbusState.CLOSED)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("domid", metavar="DOMID", type=domid, help="the domain's number")
    parser.add_argument(
        "--tag", default="share", help="the name that the guest mounts (default: %(default)s)"
    )
    parser.add_argument(
        "--devid", metavar="N", type=devid, help="the device's number (default: the lowest free)"
    )
    parser.add_argument(
        "--until",
        choices=_UNTIL,
        default="offered",
        help="wait until the supervisor offers the share (default), or the guest uses it",
    )
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=seconds,
        default=10.0,
        help="how long to wait; 0 does not wait at all (default: %(default)g)",
    )
    add_share(parser)
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    """Attach, wait, print the device's number."""
    from backend import toolstack

    share = share_of(args)
    if not args.tag or len(args.tag.encode()) > 255 or not args.tag.isprintable():
        raise CommandError(f"--tag {args.tag!r}: it must be 1 to 255 printable characters")
    with open_store(load_config(args).platform) as (store, own):
        try:
            number = toolstack.attach(store, own, args.domid, share, args.tag, devid=args.devid)
        except toolstack.ToolstackError as error:
            raise CommandError(str(error)) from error
        if args.wait:
            _wait(store, toolstack.ends(own, args.domid, number), args)
        sys.stdout.write(f"{args.domid}/{number}\n")
    return 0


def _wait(store: Store, device: Ends, args: argparse.Namespace) -> None:
    from backend import toolstack

    wanted = _UNTIL[args.until]
    state = toolstack.wait_for(
        store, device, lambda state: state in wanted or state in _ENDED, args.wait
    )
    if state in wanted:
        return
    name = f"{args.domid}/{device.backend.rpartition('/')[2]}"
    if state in _ENDED:
        reason = toolstack.why_closed(store, device) or "no reason given"
        raise CommandError(f"{name}: closed by the backend: {reason}")
    if state is XenbusState.INITIALISING:
        raise CommandError(
            f"{name}: attached, but no supervisor took it within {args.wait:g} s; "
            "start one with 'xen-fileproxy run'"
        )
    raise CommandError(f"{name}: attached, but the guest did not connect within {args.wait:g} s")
