"""A process of the guest's that writes into the shared pages while the worker reads them."""

from __future__ import annotations

import mmap
import os
import random
import signal
from typing import TYPE_CHECKING, Any, TypeAlias

from cffi import FFI

from protocol.xenpv.layout import IN_CONS, IN_PROD, OUT_CONS, OUT_PROD, RING_ORDER, RING_REFS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from .raw_frontend import RawFrontend

_ffi = FFI()
_ffi.cdef("int madvise(void *addr, size_t length, int advice);")
_libc: Any = _ffi.dlopen(None)

Scribble: TypeAlias = "Callable[[RawFrontend, random.Random], None]"


def indices(guest: RawFrontend, dice: random.Random) -> None:
    """Every index of both rings: its own, the backend's, near and far from what is right."""
    words = dice.choice(guest.words)
    word, other = dice.choice(((OUT_PROD, OUT_CONS), (IN_CONS, IN_PROD)))
    near = words[other] + dice.choice((0, 7, 23, 4095, 4096, 4097, 1 << 31))
    words[dice.choice((word, other))] = (near if dice.random() < 0.9 else dice.getrandbits(32)) & (
        (1 << 32) - 1
    )


def plausible_indices(guest: RawFrontend, dice: random.Random) -> None:
    """Only values that fit the ring: the worker has no reason to give up, and much to read."""
    words = dice.choice(guest.words)
    words[IN_CONS] = words[IN_PROD]
    words[OUT_PROD] = (words[OUT_CONS] + dice.randrange(4097)) & ((1 << 32) - 1)


def headers(guest: RawFrontend, dice: random.Random) -> None:
    """Sizes, types and tags of requests, at every place where one may begin."""
    data = dice.choice(guest.rings).requests._data
    at = dice.randrange(len(data) - 7)
    data[at : at + 7] = dice.choice((7, 11, 23, 24, 100, 4096)).to_bytes(4, "little") + bytes(
        (dice.choice((24, 40, 100, 104, 108, 110, 116, 118, 120)), 1, 0)
    )


def bodies(guest: RawFrontend, dice: random.Random) -> None:
    """Single bytes of requests and replies."""
    ring = dice.choice(guest.rings)
    data = dice.choice((ring.requests, ring.replies))._data
    data[dice.randrange(len(data))] = dice.getrandbits(8)


def interface(guest: RawFrontend, dice: random.Random) -> None:
    """The order and the references of the interface page, while or after they are read."""
    words = dice.choice(guest.words)
    if dice.random() < 0.3:
        words[RING_ORDER] = dice.choice((0, 1, 1, 1, 9, 10, 0xFFFF_FFFF))
    else:
        words[RING_REFS + dice.randrange(3)] = dice.getrandbits(dice.choice((3, 8, 32)))


def everything(guest: RawFrontend, dice: random.Random) -> None:
    """All of it."""
    dice.choice((indices, plausible_indices, headers, bodies, interface))(guest, dice)


class Elsewhere:
    """Runs ``work``, which does not return, in another process until the context ends."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._pid = 0

    def __enter__(self) -> Self:
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.closerange(3, 1 << 16)
                self._work()
            finally:
                os._exit(1)
        return self

    def __exit__(self, *_: object) -> None:
        assert os.waitpid(self._pid, os.WNOHANG)[0] == 0, "it ended by itself"
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


class Scribbler(Elsewhere):
    """Scribbles from another process, as fast as it can, until the context ends."""

    def __init__(self, guest: RawFrontend, scribble: Scribble) -> None:
        super().__init__(self._scribble_on)
        self._guest = guest
        self._scribble = scribble

    def __enter__(self) -> Self:
        # The platform keeps a guest's memory from its children; here the child is the guest, too.
        self._inherit(mmap.MADV_DOFORK)
        super().__enter__()
        self._inherit(mmap.MADV_DONTFORK)
        return self

    def _scribble_on(self) -> None:
        dice = random.Random(7)
        while True:
            self._scribble(self._guest, dice)

    def _inherit(self, advice: int) -> None:
        for words, ring in zip(self._guest.words, self._guest.rings, strict=True):
            for memory in (words, ring.requests._data, ring.replies._data):
                address = _ffi.cast("uintptr_t", _ffi.from_buffer(memory))
                assert _libc.madvise(_ffi.cast("void *", address), memory.nbytes, advice) == 0
