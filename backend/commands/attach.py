"""``attach``: gives a share to a running domain."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from backend.commands.domain_option import add_domain, domid_of
from backend.commands.failure import CommandError
from backend.commands.options import add_config, devid, load_config, seconds
from backend.commands.share_options import add_share, first_given, share_of
from backend.commands.stores import open_store
from backend.stubdom.state_share import TAG, state_share
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    import argparse

    from backend.config import Config
    from backend.share import Share
    from backend.toolstack import Ends
    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Store

HELP = "attach a share to a running domain"
EXAMPLE = (
    "xen-fileproxy attach guest1 --path /srv/files --tag files --max-space 1024 --commit atomic"
)

_TAG = "share"

_UNTIL = {
    "offered": (XenbusState.INIT_WAIT, XenbusState.CONNECTED),
    "connected": (XenbusState.CONNECTED,),
}
_ENDED = (XenbusState.UNKNOWN, XenbusState.CLOSING, XenbusState.CLOSED)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_domain(parser)
    parser.add_argument(
        "--state",
        action="store_true",
        help="give a stub domain, or the one that works for DOMAIN, what its QEMU needs: the share "
        f'"{TAG}" of the configuration\'s table [stubdom]; no other share is described then',
    )
    parser.add_argument(
        "--tag",
        help=f"the name that the guest mounts (default: {_TAG}; with --state, {TAG})",
    )
    parser.add_argument(
        "--devid", metavar="N", type=devid, help="the device's number (default: the lowest free)"
    )
    parser.add_argument(
        "--until",
        choices=_UNTIL,
        help="wait until the supervisor offers the share, or the guest's driver has connected "
        "(default: wait for the driver, but be content with the offer)",
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
    """Attach, wait, print the domain's and the device's number."""
    from backend import toolstack
    from backend.exports import check_share

    tag = _checked_tag(args)
    if args.state:
        given = first_given(args)
        if given is not None:
            raise CommandError(f"--state describes the whole share: leave out {given}")
    else:
        share_of(args, "/")  # what is wrong with it is said before anything is asked
    config = load_config(args)
    with open_store(config.platform) as (store, own):
        domid, share = _wanted(args, config, store)
        bad = check_share(share, config.allowed_exports)
        if bad is not None:
            raise CommandError(bad)
        try:
            number = toolstack.attach(store, own, domid, share, tag, devid=args.devid)
            if args.wait:
                _wait(store, toolstack.ends(own, domid, number), f"{domid}/{number}", args)
        except toolstack.ToolstackError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            look = f"'xen-fileproxy list {domid}' shows whether it is attached"
            sys.stderr.write(f'domain {domid}, tag "{tag}": interrupted; {look}\n')
            raise
        sys.stdout.write(f"{domid}/{number}\n")
    return 0


def _checked_tag(args: argparse.Namespace) -> str:
    """The tag to be mounted.  Raises ``CommandError``."""
    from backend.devices import MAX_TAG

    if args.tag is None:
        return TAG if args.state else _TAG
    if not args.tag or len(args.tag.encode()) > MAX_TAG or not args.tag.isprintable():
        raise CommandError(f"--tag {args.tag!r}: it must be 1 to {MAX_TAG} printable characters")
    return str(args.tag)


def _wanted(args: argparse.Namespace, config: Config, store: Store) -> tuple[Domid, Share]:
    """To whom, and what.  Raises ``CommandError``, ``OSError``."""
    from backend.share import ShareError
    from backend.stubdom.target import served_by, stub_domain_of, target_of

    domid = domid_of(store, args.domain)
    if not args.state:
        return domid, share_of(args, os.path.join(config.run_dir, str(served_by(store, domid))))
    target = target_of(store, domid)
    if target is None:
        stub_domain = stub_domain_of(store, domid)
        if stub_domain is None:
            raise CommandError(
                f"domain {domid} is no stub domain, and has none that --state could be for"
            )
        domid, target = stub_domain, domid
    try:
        return domid, state_share(config.stubdom, config.run_dir, target)
    except ShareError as error:
        raise CommandError(f"[stubdom]: {error}") from error


def _wait(store: Store, device: Ends, name: str, args: argparse.Namespace) -> None:
    from backend import toolstack

    wanted = _UNTIL[args.until or "connected"]
    state = toolstack.wait_for(
        store, device, lambda state: state in wanted or state in _ENDED, args.wait
    )
    if state in wanted:
        return
    if state in _ENDED:
        reason = toolstack.why_closed(store, device) or "no reason given"
        toolstack.remove(store, device)
        raise CommandError(f"{name}: closed by the backend, and removed: {reason}")
    if state is XenbusState.INITIALISING:
        raise CommandError(
            f"{name}: attached, but no supervisor took it within {args.wait:g} s; "
            "start one with 'xen-fileproxy run'"
        )
    if toolstack.frontend_state(store, device) is XenbusState.INITIALISED:
        late, then = "the supervisor had no worker for the guest's driver", "see its log"
    else:
        late, then = (
            "the guest's driver did not connect",
            "load it (in Linux, 9pnet_xen)",
        )
    said = f"{name}: attached, but {late} within {args.wait:g} s; {then}"
    if args.until == "connected":
        raise CommandError(said)
    sys.stderr.write(f"{said}\n")
