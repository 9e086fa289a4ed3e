"""``qmp-proxy``: what libxl runs for a stub domain's monitor, in place of ``vchan-socket-proxy``.

``install-hook`` puts it there.  Where there is no channel of ours, it becomes what it stands for.
"""

from __future__ import annotations

import getopt
import os
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.commands.failure import CommandError
from backend.commands.options import add_config, load_config
from backend.commands.stores import open_store

if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import Sequence

    from backend.config import Config
    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Store

HELP = "carry libxl's requests to the monitor of a stub domain's QEMU (libxl runs this)"
EXAMPLE = (
    "xen-fileproxy qmp-proxy --original /usr/lib/xen-4.20/bin/vchan-socket-proxy.distrib -- "
    "7 /local/domain/7/device-model/5/qmp-vchan /run/xen/qmp-libxl-5"
)


_LONGEST: Final = 30.0
"""Seconds for the share to come: of the 60 that libxl gives us, some are left for the original."""


class Asked(NamedTuple):
    """What libxl asks of its proxy (``spawn_qmp_proxy``, ``libxl_dm.c``)."""

    domid: Domid
    vchan_node: str
    socket: str
    state_path: str | None


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--original",
        metavar="PATH",
        required=True,
        help="the program that serves a stub domain without a channel of ours",
    )
    parser.add_argument(
        "arguments", metavar="ARGUMENT", nargs="*", help="those of vchan-socket-proxy, after --"
    )
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until the stub domain ends; or become the original."""
    asked = parsed(args.arguments)
    try:
        if asked is not None:
            config = load_config(args)
            with open_store(config.platform) as (store, own):
                if _serve(args.original, config, store, own, asked):
                    return 0
    except CommandError as error:
        # A mistake in our configuration keeps no stub domain from its monitor.
        _say(str(error))
    _become(args.original, args.arguments)
    return 0


def parsed(words: Sequence[str]) -> Asked | None:
    """What is asked, ``None`` where it is something that libxl does not ask.

    The options are those of Xen's ``tools/vchan/vchan-socket-proxy.c``.
    """
    from backend.supervisor.keys import parse_domid

    try:
        options, rest = getopt.gnu_getopt(list(words), "m:vs:", ["mode=", "verbose", "state-path="])
    except getopt.GetoptError:
        return None
    given = {name.lstrip("-")[0]: value for name, value in options}
    if given.get("m", "client") != "client" or len(rest) != 3 or not rest[2].startswith("/"):
        return None
    domid = parse_domid(rest[0])
    return None if domid is None else Asked(domid, rest[1], rest[2], given.get("s"))


def _serve(original: str, config: Config, store: Store, own: Domid, asked: Asked) -> bool:
    """Whether the stub domain was served to its end; not if that is the original's to do."""
    from backend.channel.listening import listen, remove
    from backend.stubdom.monitor import End, await_offer, serve

    seconds = min(config.timeouts.start, _LONGEST) if config.stubdom.auto else 0
    channel = await_offer(store, own, asked.domid, seconds)
    if channel is None:
        if config.stubdom.auto:
            _say(f"domain {asked.domid} got no share in {seconds:g} s: is the service running?")
        return False
    with listen(asked.socket) as listener:
        if asked.state_path is not None:
            store.write(asked.state_path, b"running")
        if serve(store, asked.domid, channel, asked.vchan_node, listener) is End.OTHER_WAY:
            _hand_over(original, asked, listener)
    remove(asked.socket)
    return True


def _hand_over(original: str, asked: Asked, listener: socket.socket) -> None:
    """Have the original go on with the socket, and with whoever waits there."""
    listener.setblocking(True)
    os.set_inheritable(listener.fileno(), True)
    _become(original, [str(asked.domid), asked.vchan_node, str(listener.fileno())])


def _become(original: str, words: Sequence[str]) -> None:
    """Raises ``CommandError``."""
    sys.stderr.flush()
    try:
        os.execv(original, [original, *words])  # noqa: S606 -- a shell has no part in this
    except OSError as error:
        raise CommandError(f"{original}: {error.strerror}") from error


def _say(text: str) -> None:
    """Into ``/var/log/xen/qmp-proxy-NAME.log``, as libxl has it."""
    sys.stderr.write(f"qmp-proxy: {text}\n")
