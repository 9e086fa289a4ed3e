"""Fuzzes the XenStore nodes that a frontend, or a toolstack, writes."""

from __future__ import annotations

from typing import Final

from backend.share import Share, ShareError, read_share, share_nodes
from backend.supervisor.keys import backend_root, device_of
from protocol.xenpv.device import (
    MAX_RINGS,
    BackendOffer,
    HandshakeError,
    read_backend_nodes,
    read_frontend_nodes,
)
from protocol.xenpv.ids import DOM0
from protocol.xenpv.xenbus import XenbusState
from tests.fuzz.choices import Choices
from tests.fuzz.target import Target

_NAMES: Final = (
    *("version", "num-rings", "versions", "max-rings", "max-ring-page-order", "state"),
    *(f"ring-ref{number}" for number in range(MAX_RINGS + 1)),
    *(f"event-channel-{number}" for number in range(MAX_RINGS + 1)),
    *("path", "security_model", "max-space", "max-files", "max-open-files", "auto-delete"),
    *("read-only", "commit", "fsync-on-close", "num-files"),
    *(f"files/{number}/{part}" for number in range(3) for part in ("name", "path", "writable")),
)
_VALUES: Final = (
    *(b"", b"0", b"1", b"2", b"4", b"9", b"10", b"-1", b"+1", b" 1", b"1_0", b"0x1", b"4294967295"),
    *(
        b"4294967296",
        b"\xb2",
        b"9" * 20,
        b"none",
        b"atomic",
        b"mapped-xattr",
        b"/srv",
        b"..",
        b"a/b",
    ),
)


def run(data: bytes) -> None:
    """The bytes choose nodes and values."""
    choices = Choices(data)
    nodes = {}
    while choices:
        name = choices.pick(_NAMES)
        plain = choices.pick((True, True, False))
        nodes[name] = choices.pick(_VALUES) if plain else choices.take(choices.below(64))
    _frontend(nodes)
    _toolstack(nodes)
    _path(data)


def _frontend(nodes: dict[str, bytes]) -> None:
    offer = BackendOffer(4, 9)
    try:
        rings = read_frontend_nodes(nodes.get, offer)
    except HandshakeError:
        rings = []
    assert len(rings) <= offer.max_rings
    assert all(0 < number < 1 << 32 for ring in rings for number in ring)
    try:
        found = read_backend_nodes(nodes.get)
    except HandshakeError:
        found = offer
    assert 1 <= found.max_rings <= MAX_RINGS
    assert 1 <= found.max_ring_page_order <= 9
    assert isinstance(XenbusState.parse(nodes.get("state", b"")), XenbusState)


def _toolstack(nodes: dict[str, bytes]) -> None:
    try:
        share: Share = read_share(nodes.get)
    except ShareError:
        return
    assert read_share(share_nodes(share).get) == share


def _path(data: bytes) -> None:
    root = backend_root(DOM0)
    path = f"{root}/{data.decode('latin-1')}"
    key = device_of(root, path)
    if key is not None:
        own = f"{root}/{key.domid}/{key.devid}"
        assert path == own or path.startswith(own + "/")


TARGET = Target(
    "nodes",
    "Whatever the nodes hold, they are read as numbers in range and a share that describes itself, "
    "or refused with the reader's own exception; nothing else is ever raised.",
    run,
)
