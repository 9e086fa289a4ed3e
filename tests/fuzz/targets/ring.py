"""Fuzzes rings: a peer that writes anything anywhere, between and before the worker's passes."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protocol.ninep.codec import encode
from protocol.ninep.ids import Tag
from protocol.ninep.messages import Tgetattr
from protocol.xenpv.layout import IN_CONS, IN_PROD, OUT_CONS, OUT_PROD
from protocol.xenpv.ring import RingError
from tests.backend.fileserver.ring_peer import ROOT_FID, RingPeer
from tests.fuzz.choices import Choices
from tests.fuzz.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORDS: Final = (OUT_PROD, OUT_PROD, IN_CONS, IN_CONS, OUT_CONS, IN_PROD)
_NEAR: Final = (0, 1, 6, 7, 8, 23, 4095, 4096, 8191, 8192, 8193, 1 << 31, (1 << 32) - 1)
_REQUEST: Final = encode(Tgetattr(Tag(3), ROOT_FID, 0x17FF))


def run(data: bytes) -> None:
    """The bytes choose what the peer does."""
    choices = Choices(data)
    with _peer() as peer:
        while choices:
            ring = choices.below(2)
            _meddle(peer, choices, ring)
            if not _serve(peer, ring):
                return


@contextlib.contextmanager
def _peer() -> Iterator[RingPeer]:
    with tempfile.TemporaryDirectory() as root:
        peer = RingPeer(Path(root), order=2)
        peer.mount()
        try:
            yield peer
        finally:
            peer.close()


def _meddle(peer: RingPeer, choices: Choices, ring: int) -> None:
    words, data = peer.words[ring], peer.data[ring]
    what = choices.below(4)
    if what == 0:
        words[choices.pick(_WORDS)] = choices.number(32)
    elif what == 1:
        # An index at a telling distance from the one that it is compared with.
        word, other = choices.pick(((OUT_PROD, OUT_CONS), (IN_CONS, IN_PROD)))
        words[word] = (words[other] + choices.pick(_NEAR)) & 0xFFFF_FFFF
    elif what == 2:
        piece = choices.take(choices.below(40))
        at = choices.below(len(data) - len(piece))
        data[at : at + len(piece)] = piece
    else:
        # A request where the worker will look for one.
        half = len(data) // 2
        for number, byte in enumerate(_REQUEST):
            data[half + (words[OUT_CONS] + number) % half] = byte
        words[OUT_PROD] = (words[OUT_CONS] + len(_REQUEST)) & 0xFFFF_FFFF
        words[IN_CONS] = words[IN_PROD]


def _serve(peer: RingPeer, ring: int) -> bool:
    """One pass, watched; false when the ring was found impossible."""
    words, data = peer.words[ring], peer.data[ring]
    half = len(data) // 2
    lane = peer.connection.lanes[ring]
    requests = bytes(data[half:])
    sent = lane.sent
    peers_words = (words[OUT_PROD], words[IN_CONS])
    alive = True
    try:
        peer.connection.service(ring)
    except RingError:
        alive = False
    assert bytes(data[half:]) == requests, "the worker wrote into the requests' half"
    assert (words[OUT_PROD], words[IN_CONS]) == peers_words, "the worker wrote a peer's index"
    if lane.sent != sent:
        assert words[IN_PROD] == lane.sent & 0xFFFF_FFFF, "what was published is not what was sent"
    assert peer.connection.counters.unforeseen == 0, "an exception that nobody foresaw"
    return alive


TARGET = Target(
    "ring",
    "Whatever a peer writes into indices and data, a pass answers, waits or raises RingError; it "
    "writes only its own indices and the replies' half, and nothing is raised unforeseen.",
    run,
)
