"""libxl's connections to the monitor of a stub domain's QEMU, carried by a channel of ours.

libxl runs a proxy for each Linux stub domain (``spawn_qmp_proxy``, ``libxl_dm.c``), waits 60 s for
it to say ``running``, and unpauses the stub domain only then.  All its requests go to the socket
``/run/xen/qmp-libxl-TARGET`` that the proxy listens on; the proxy ends with the stub domain
(SIGHUP).  So until we say ``running``, the stub domain cannot have looked for its share.

Which way its QEMU answers, it shows itself: by connecting to the device that has the channel, or
by the node of a vchan server.  That is looked at when there is a client, for it can change as long
as nobody has asked.
"""

from __future__ import annotations

import select
import socket
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.stubdom.relay import relay
from backend.stubdom.state_share import MONITOR
from backend.supervisor.keys import DeviceKey, backend_root, parse_devid
from backend.supervisor.nodes import DeviceNodes, NodeError
from backend.toolstack import watch_for
from protocol.xenpv.nodes import names_below, value_of
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Store

_TOKEN: Final = "monitor"  # noqa: S105 -- a XenStore watch's token
_RETRY: Final = 1.0
"""Seconds until XenStore is asked again after it failed."""

_OFFERED: Final = (XenbusState.INIT_WAIT, XenbusState.CONNECTED)


class Channel(NamedTuple):
    """The device that has a stub domain's channel, and the channel's socket."""

    state_node: str
    socket: str


class End(Enum):
    """Why clients are served no more."""

    DOMAIN_GONE = auto()
    OTHER_WAY = auto()
    """The stub domain has a vchan server, and a client waits for it."""


def find_channel(store: Store, own: Domid, domid: Domid) -> Channel | None:
    """The monitor's channel among the domain's devices.  Raises ``OSError``."""
    root = backend_root(own)
    for name in names_below(store, f"{root}/{domid}"):
        devid = parse_devid(name)
        if devid is None:
            continue
        nodes = DeviceNodes(store, root, DeviceKey(domid, devid))
        try:
            share = nodes.read_share()
        except NodeError:
            continue
        for channel in share.channels:
            if channel.name == MONITOR:
                return Channel(f"{nodes.backend}/state", channel.socket)
    return None


def await_offer(store: Store, own: Domid, domid: Domid, seconds: float) -> Channel | None:
    """Wait for the channel to be there and its device to be offered to the stub domain.

    ``None`` where that does not come in time.  Raises ``OSError``.
    """

    def offered() -> Channel | None:
        channel = find_channel(store, own, domid)
        return channel if channel is not None and _state(store, channel) in _OFFERED else None

    return watch_for(store, f"{backend_root(own)}/{domid}", offered, seconds)


def serve(
    store: Store, domid: Domid, channel: Channel, vchan_node: str, listener: socket.socket
) -> End:
    """Serve one client of ``listener`` after the other; as the channel does.  Raises ``OSError``.

    ``vchan_node`` is there once the stub domain has a vchan server.
    """
    watched = (channel.state_node, vchan_node, "@releaseDomain")
    for path in watched:
        store.watch(path, _TOKEN)
    try:
        while True:
            store.events()
            try:
                end = _turn(store, domid, channel, vchan_node, listener)
            except (ConnectionError, TimeoutError):
                # XenStore is connected to anew, and the watches fire when that is done.
                select.select([store.fileno()], [], [], _RETRY)
                continue
            if end is not None:
                return end
    finally:
        for path in watched:
            store.unwatch(path, _TOKEN)


def _turn(
    store: Store, domid: Domid, channel: Channel, vchan_node: str, listener: socket.socket
) -> End | None:
    """Serve the client that waits, or wait for what lets one be served."""
    if not store.introduced(domid):
        return End.DOMAIN_GONE
    waiting = select.select([listener], [], [], 0)[0]
    if waiting and _state(store, channel) is XenbusState.CONNECTED:
        _serve_one(listener, channel)
    elif waiting and value_of(store, vchan_node) is not None:
        return End.OTHER_WAY
    else:
        # A client that waits for the stub domain is no news.
        news = [] if waiting else [listener.fileno()]
        select.select([store.fileno(), *news], [], [])
    return None


def _serve_one(listener: socket.socket, channel: Channel) -> None:
    try:
        client, _address = listener.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return
    with client, socket.socket(socket.AF_UNIX) as other:
        try:
            other.connect(channel.socket)
        except OSError:
            return  # the device closes just now: the client is hung up on
        relay(client, other)


def _state(store: Store, channel: Channel) -> XenbusState:
    return XenbusState.parse(value_of(store, channel.state_node) or b"")
