"""How a keeper hands its device over to another process: the offer, the descriptors, three words.

Both ends of a ``SOCK_SEQPACKET`` pair that the supervisor made.  What is said, in order:

| who | what |
|---|---|
| old | the offer, JSON, with a copy of the journal |
| old | the descriptors, some at a time, each packet a JSON list of their numbers |
| new | ``NEXT``, to the offer and to each of these, so that no more than one lies unread |
| old | ``ALL`` |
| new | ``TAKE``: it could go on, from this very moment |
| old | ``YOURS``: it serves no more, whatever comes |
| new | ``MINE``: it serves from now on; the old one ends when it reads this |

Whoever is not told the next word, goes back to what was: the old keeper says ``KEPT`` and starts a
worker of its own, the new one ends.  Nobody serves between ``YOURS`` and ``MINE``: the two never
serve together.

``FORMAT`` is of all of this.  The old end is always older code: a newer program has to know the
formats of those that may be running.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from backend.confinement.descriptors import is_open
from backend.journal import layout
from backend.worker import passing
from backend.worker.rings import KnownRing
from protocol.xenpv.device import MAX_RING_ORDER
from protocol.xenpv.ids import Evtchn, Gref
from protocol.xenpv.ports import OpenChannels

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT: Final = 1

PATIENCE: Final = 30.0
"""Seconds that either end waits for the other's next word; the supervisor's bound, for a worker's
start, is shorter unless it was configured."""

_AT_ONCE: Final = 200
"""Descriptors in a packet; the kernel takes 253 (SCM_MAX_FD)."""
_MAX_PACKET: Final = 1 << 18
"""More than a unix socket's send buffer holds (212,992 bytes)."""

NEXT: Final = b"next"
ALL: Final = b"all"
TAKE: Final = b"take"
YOURS: Final = b"yours"
MINE: Final = b"mine"
WHOSE: Final = b"whose"
KEPT: Final = b"kept"

NUMBERS_MOST: Final = 1 << 20
"""A table of descriptors has no higher numbers (``fs.nr_open``)."""


class HandoverError(Exception):
    """The device stays with the old process; the text says why."""


class Offer(NamedTuple):
    """What the new process is told, beside the journal."""

    journal: int
    """The version of its layout."""
    lanes: int
    fids: int
    """How many the journal has room for."""
    rings: tuple[KnownRing, ...]
    channels: OpenChannels
    root: int
    """The descriptor of the tree's root."""
    directories: tuple[int, ...]
    """Those of what is shared: the mounts in which all other files lie, and perhaps more."""
    listeners: tuple[int, ...]
    """The listening sockets of the share's channels, in order."""


def pack(offer: Offer) -> bytes:
    """The first packet."""
    return json.dumps({"format": FORMAT, **offer._asdict()}).encode()


def unpack(packet: bytes) -> Offer:
    """Raises ``HandoverError`` for what this code cannot go on from."""
    try:
        document = json.loads(packet)
        form, version = document.pop("format"), document["journal"]
        if type(form) is not int or type(version) is not int:
            raise TypeError(form, version)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise HandoverError("what the old worker says is no offer") from None
    if form != FORMAT:
        raise HandoverError(f"it hands over in format {form}, and format {FORMAT} is known here")
    if version not in layout.READABLE:
        known = ", ".join(map(str, sorted(layout.READABLE)))
        raise HandoverError(f"its journal has version {version}, and version {known} is known here")
    try:
        return _offer(document)
    except (ValueError, LookupError, TypeError):
        raise HandoverError("what the old worker offers is damaged") from None


def _offer(document: dict[str, Any]) -> Offer:
    rings = tuple(_ring(*ring) for ring in document["rings"])
    lanes, fids, (descriptors, ports) = (document[name] for name in ("lanes", "fids", "channels"))
    if not 0 < lanes == len(rings) <= layout.MAX_LANES or not 0 < fids < NUMBERS_MOST:
        raise ValueError(lanes)
    return Offer(
        document["journal"],
        lanes,
        fids,
        rings,
        OpenChannels(_numbers(descriptors), tuple(map(Evtchn, _numbers(ports)))),
        _numbers([document["root"]])[0],
        _numbers(document["directories"]),
        _numbers(document["listeners"]),
    )


def _ring(number: int, order: int, port: int, grefs: list[int]) -> KnownRing:
    if not 1 <= order <= MAX_RING_ORDER or len(grefs) != 1 + (1 << order):
        raise ValueError(order)
    if not all(isinstance(each, int) for each in (number, port, *grefs)):
        raise TypeError(grefs)
    return KnownRing(number, order, Evtchn(port), tuple(map(Gref, grefs)))


def _numbers(numbers: list[int]) -> tuple[int, ...]:
    if not all(isinstance(number, int) and 0 <= number < 1 << 32 for number in numbers):
        raise ValueError(numbers)
    return tuple(numbers)


def give(leads_to: int, offer: Offer, journal: int, descriptors: Iterable[int]) -> str:
    """Hand over by the socket ``leads_to``: why it came to nothing.

    Where it succeeds, this process ends here.
    """
    try:
        peer = socket.socket(fileno=leads_to)
    except OSError as error:
        return f"there is nobody to hand over to: {error.strerror}"
    with peer:
        peer.settimeout(PATIENCE)
        try:
            _pass(peer, pack(offer), [journal])
            there = sorted(filter(is_open, descriptors))
            for at in range(0, len(there), _AT_ONCE):
                some = there[at : at + _AT_ONCE]
                _pass(peer, json.dumps(some).encode(), some)
            peer.sendall(ALL)
            why = _settle(peer)
        except TimeoutError:
            why = f"the new worker took more than {PATIENCE:g} s"
        except OSError as error:
            why = f"the new worker is gone: {error.strerror}"
        except HandoverError as error:
            why = str(error)
        _last_words(peer)
        return why


def _pass(peer: socket.socket, packet: bytes, descriptors: list[int]) -> None:
    socket.send_fds(peer, [packet], descriptors)
    if peer.recv(_MAX_PACKET) != NEXT:
        raise HandoverError("the new worker did not take it")


def _settle(peer: socket.socket) -> str:
    while True:
        word = peer.recv(_MAX_PACKET)
        if word == MINE:
            _end()
        elif word == TAKE:
            peer.sendall(YOURS)
        else:
            return "the new worker died" if word == WHOSE else "the new worker did not take it"


def _last_words(peer: socket.socket) -> None:
    """Say that it is kept.  What the other said in time holds; nothing can be said any more."""
    with suppress(OSError):
        peer.sendall(KEPT)
    with suppress(OSError):
        peer.shutdown(socket.SHUT_RDWR)
        while word := peer.recv(_MAX_PACKET):
            if word == MINE:
                _end()


def _end() -> NoReturn:
    """Without a word to anybody, and nothing given back but by the kernel: it is another's now."""
    os._exit(0)


class Handed(NamedTuple):
    """What came from the old process."""

    offer: Offer
    journal: int
    numbers: dict[int, int]
    """Our number of each descriptor, by the old process's."""


class Taking:
    """The new process's end."""

    def __init__(self, end: socket.socket) -> None:
        end.settimeout(PATIENCE)
        self._end = end

    def receive(self) -> Handed:
        """All of it.  Raises ``HandoverError``."""
        packet, files = self._next()
        try:
            offer = unpack(packet)
            if len(files) != 1:
                raise HandoverError("what the old worker offers has no journal")
            numbers: dict[int, int] = {}
            while True:
                self._say(NEXT)
                packet, some = self._next()
                files += some
                if packet == ALL:
                    return Handed(offer, files[0], numbers)
                numbers.update(_paired(packet, some))
        except HandoverError:
            for fd in files:
                os.close(fd)
            raise

    def claim(self) -> None:
        """Have the device: the old process serves no more.  Raises ``HandoverError``."""
        self._say(TAKE)
        word = self._word()
        if word == YOURS:
            self._say(MINE)
        elif word:
            raise HandoverError("the old worker serves on")
        # Or it was killed: it says so whenever it goes on by itself.

    def ours(self) -> bool:
        """Whether the device is this process's, after a child of ours died that might have had it:
        the old process has ended, or else it is told that it has to go on, and says that it does.
        """
        with suppress(HandoverError):
            self._say(WHOSE)
        try:
            while word := self._word():
                if word == KEPT:
                    return False
        except HandoverError:
            return False
        return True

    def _say(self, word: bytes) -> None:
        try:
            self._end.sendall(word)
        except OSError as error:
            raise HandoverError(f"the old worker does not answer: {error.strerror}") from None

    def _word(self) -> bytes:
        try:
            try:
                return self._end.recv(_MAX_PACKET)
            except ConnectionResetError:
                # It ended, and had not read all; what it said before is still there.
                return self._end.recv(_MAX_PACKET)
        except OSError as error:
            raise HandoverError(f"the old worker does not answer: {error.strerror}") from None

    def _next(self) -> tuple[bytes, list[int]]:
        try:
            packet, files, flags = passing.receive(self._end, _MAX_PACKET, _AT_ONCE)
        except OSError as error:
            raise HandoverError(f"the old worker does not answer: {error.strerror}") from None
        if not packet or packet == KEPT:
            raise HandoverError("the old worker serves on: it could not hand over")
        if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
            for fd in files:
                os.close(fd)
            raise HandoverError("this process has no descriptors left")
        return packet, files


def _paired(packet: bytes, files: list[int]) -> dict[int, int]:
    try:
        return dict(zip(_numbers(json.loads(packet)), files, strict=True))
    except (ValueError, TypeError):
        raise HandoverError("what the old worker sends is damaged") from None
