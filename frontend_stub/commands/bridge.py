"""``bridge``: a channel of the share, joined to a character device of a QEMU in this guest."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import select
import sys
from typing import TYPE_CHECKING

from frontend_stub.chardevs import FORMS, check_address, endpoint
from frontend_stub.commands.number import number
from frontend_stub.relay import Relay

if TYPE_CHECKING:
    from frontend_stub.chardevs import Endpoint
    from frontend_stub.file import File
    from frontend_stub.share import Share

HELP = "join a channel to a QEMU's monitor or console"
EXAMPLE = "xen-fileproxy-front bridge qmp unix:/run/qmp.sock"

log = logging.getLogger(__name__)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("channel", metavar="CHANNEL", help="the channel's name in the share")
    parser.add_argument(
        "address",
        metavar="ADDRESS",
        type=_address,
        help=f"where QEMU is: {FORMS}.  pty makes a terminal and prints its path; pty:PATH is "
        "one that QEMU made; pipe:PATH are the FIFOs PATH.in and PATH.out",
    )
    parser.add_argument(
        "--listen", action="store_true", help="QEMU connects to the socket (default: we do)"
    )
    parser.add_argument("--once", action="store_true", help="end after the first client")
    parser.add_argument(
        "--wait",
        type=number("a number of seconds", 0, 86400),
        default=10,
        metavar="SECONDS",
        help="how long a client waits for QEMU to be there (default: %(default)s)",
    )


def _address(text: str) -> str:
    try:
        check_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def run(share: Share, args: argparse.Namespace) -> int:
    """Serve one client of the channel after the other, each with its own connection to QEMU."""
    qemu = endpoint(args.address, listen=args.listen)
    with contextlib.closing(qemu):
        if args.address == "pty":
            sys.stdout.write(f"{qemu.name}\n")
            sys.stdout.flush()
        while True:
            channel = _next_client(share, args.channel, qemu)
            if channel is None:
                return 0
            served = _serve(channel, qemu, args.wait)
            if args.once:
                return 0 if served else 1


def _next_client(share: Share, name: str, qemu: Endpoint) -> File | None:
    """The channel, open, when a client is there; ``None`` when QEMU's end has hung up before."""
    opening = share.begin_open(name, os.O_RDWR)
    poll = select.poll()
    try:
        while not opening.done:
            for descriptor, events in share.client.polled().items():
                poll.register(descriptor, events)
            watched = qemu.watched()
            if watched is not None:
                poll.register(watched, 0)
            if any(descriptor == watched for descriptor, _events in poll.poll()):
                opening.cancel()
                return None
            share.client.take()
    except BaseException:
        opening.cancel()
        raise
    return opening.file()


def _serve(channel: File, qemu: Endpoint, wait: float) -> bool:
    """One client's time; false where QEMU was not there for it."""
    with channel, contextlib.ExitStack() as stack:
        try:
            ends = stack.enter_context(qemu.connect(wait))
        except OSError as error:
            log.warning("no QEMU for a client: %s: %s", qemu.name, error.strerror)
            return False
        log.info("%s: a client", channel.name)
        log.info("%s: %s", channel.name, Relay(channel, ends).run())
    return True
