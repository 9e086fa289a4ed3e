"""``detach``: takes a share away from a running domain."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from backend.commands.domain_option import add_domain, domid_of
from backend.commands.failure import CommandError
from backend.commands.options import add_config, devid, load_config, seconds
from backend.commands.stores import open_store
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    import argparse

    from backend.supervisor.keys import DeviceKey
    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Store

HELP = "take a share away from a running domain"
EXAMPLE = "xen-fileproxy detach guest1 --tag files"

_GONE = (XenbusState.UNKNOWN, XenbusState.CLOSED)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_domain(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--tag", help="the name that the guest mounts (default: the only share)")
    which.add_argument("--devid", metavar="N", type=devid, help="the device's number")
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
        key = _key(store, own, args)
        device = toolstack.ends(own, *key)
        name = f"{key.domid}/{key.devid}"
        try:
            toolstack.ask_to_close(store, device)
            state = toolstack.wait_for(store, device, lambda state: state in _GONE, args.wait)
        except toolstack.ToolstackError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            look = f"'xen-fileproxy list {key.domid}' shows whether it is still attached"
            sys.stderr.write(f"{name}: interrupted; {look}\n")
            raise
        if state not in _GONE and not args.force:
            raise CommandError(
                f"{name}: the backend did not close within {args.wait:g} s; "
                "--force removes the device all the same"
            )
        toolstack.remove(store, device)
    return 0


def _key(store: Store, own: Domid, args: argparse.Namespace) -> DeviceKey:
    """The device that is meant.  Raises ``CommandError``, ``OSError``."""
    from backend.devices import DeviceError, find_device
    from backend.supervisor.keys import DeviceKey

    domid = domid_of(store, args.domain)
    if args.devid is not None:
        return DeviceKey(domid, args.devid)
    try:
        return find_device(store, own, domid, args.tag)
    except DeviceError as error:
        raise CommandError(str(error)) from error
