"""Byte rings over shared pages, for both ends: the one module that touches what a peer changes.

Rules (XSA-155, virtio-queue's practice):

1. The peer's index is loaded once a pass into a local and never looked at again in that pass.
2. Its distance from our own index, in unsigned 32-bit arithmetic, must fit the ring; if not, the
   ring is impossible (``RingError``) and nothing on it is believed any more.
3. Our own indices live here, privately.  The copies in the shared page are written, never read
   back, so that a peer who scribbles on them changes nothing but its own view.
4. What will be parsed is copied out first (``peek``).  Slices of the ring (``slices``) go to
   ``preadv``/``pwritev`` and nowhere else.
5. Positions are our own index modulo the ring's size, so they are in range by construction.

Memory order: data must be read after the index that announced them was loaded, and an index must
be stored after the data that it announces, or gives back, were written or read.  The interpreter
adds no reordering of its own: each step is a separate call through opaque pointers.  Where the
processor does not keep this order (Arm64 does not, x86 does), the rings are made with a full
barrier, which is called between the two steps; ``backend.platform.barrier`` argues for it.  A
notification needs no other barrier: Linux's drivers have none between index and hypercall.

Source: Xen ``docs/misc/9pfs.pandoc`` ("Ring Usage"), ``xen/include/public/io/ring.h``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocol.xenpv.layout import IN_CONS, IN_PROD, OUT_CONS, OUT_PROD

INDEX_MASK: Final = 0xFFFF_FFFF

Barrier = Callable[[], None]

Slices = tuple[memoryview, ...]


class RingError(Exception):
    """The peer's index is impossible: the ring cannot be used any more."""


class _ByteRing:
    """What producer and consumer share: the interface page as words, and one half of the data."""

    __slots__ = (
        "_barrier",
        "_data",
        "_index",
        "_mask",
        "_name",
        "_own_word",
        "_peer_word",
        "_words",
        "size",
    )

    def __init__(
        self,
        words: memoryview,
        data: memoryview,
        own_word: int,
        peer_word: int,
        name: str,
        *,
        barrier: Barrier | None,
    ) -> None:
        size = len(data)
        if size == 0 or size & (size - 1):
            raise ValueError(f"a ring of {size} bytes: the size must be a power of two")
        if words.format != "I" or words.itemsize != 4:
            raise ValueError("the interface page must be cast to 32-bit words (format 'I')")
        self._words = words
        self._data = data
        self._own_word = own_word
        self._peer_word = peer_word
        self._name = name
        self._barrier = barrier
        self._mask = size - 1
        self.size: Final = size
        self._index = words[own_word]

    @property
    def index(self) -> int:
        """Our own free-running index, bytes modulo 2**32."""
        return self._index

    @property
    def peer_index(self) -> int:
        """One load of the peer's index, unchecked: for display, never for access."""
        return int(self._words[self._peer_word])

    def slices(self, at: int, length: int) -> Slices:
        """Views of ``length`` bytes from ``at`` bytes after our index on: one, or two at the wrap.

        The caller has made sure of ``at + length`` by ``available()`` or ``free()``.
        """
        start = (self._index + at) & self._mask
        end = start + length
        if end <= self.size:
            return (self._data[start:end],)
        return (self._data[start:], self._data[: end - self.size])

    def move(self, length: int) -> None:
        """Move our index by ``length`` bytes; the peer sees it when it is published."""
        self._index = (self._index + length) & INDEX_MASK

    def publish(self) -> None:
        """Show the peer how far our index has moved."""
        if self._barrier is not None:
            self._barrier()
        self._words[self._own_word] = self._index

    def advance(self, length: int) -> None:
        """Move our index by ``length`` bytes and publish it."""
        if self._barrier is not None:
            self._barrier()
        self._index = index = (self._index + length) & INDEX_MASK
        self._words[self._own_word] = index

    def let_go(self) -> None:
        """Use the shared pages no more, so that they can be unmapped."""
        self._words.release()
        self._data.release()

    def resume(self, index: int) -> None:
        """Go on at ``index``, where an earlier process of ours had come to, and publish it.

        What the peer has made of its own index meanwhile, the next pass checks as ever.
        """
        self._index = index
        self._words[self._own_word] = index

    def _impossible(self, peer: int) -> RingError:
        return RingError(
            f"{self._name}: indices {self._index} (ours) and {peer} (theirs) "
            f"do not fit a ring of {self.size} bytes"
        )


class ConsumerRing(_ByteRing):
    """The end that reads: owns ``cons``, is told ``prod``."""

    __slots__ = ()

    def __init__(
        self,
        words: memoryview,
        data: memoryview,
        prod_word: int,
        cons_word: int,
        name: str = "ring",
        *,
        barrier: Barrier | None = None,
    ) -> None:
        super().__init__(words, data, cons_word, prod_word, name, barrier=barrier)

    def available(self) -> int:
        """Bytes that lie ready; the one load of ``prod`` of this pass.  Raises ``RingError``."""
        prod = self._words[self._peer_word]
        distance = (prod - self._index) & INDEX_MASK
        if distance > self.size:
            raise self._impossible(prod)
        if self._barrier is not None:
            self._barrier()
        return distance

    def peek(self, length: int, at: int = 0) -> bytes:
        """A private copy of ``length`` bytes that begin ``at`` bytes after our index."""
        start = (self._index + at) & self._mask
        end = start + length
        if end <= self.size:
            return self._data[start:end].tobytes()
        return self._data[start:].tobytes() + self._data[: end - self.size].tobytes()


class ProducerRing(_ByteRing):
    """The end that writes: owns ``prod``, is told ``cons``."""

    __slots__ = ()

    def __init__(
        self,
        words: memoryview,
        data: memoryview,
        prod_word: int,
        cons_word: int,
        name: str = "ring",
        *,
        barrier: Barrier | None = None,
    ) -> None:
        super().__init__(words, data, prod_word, cons_word, name, barrier=barrier)

    def free(self) -> int:
        """Bytes that may be written now; the pass's load of ``cons``.  Raises ``RingError``."""
        cons = self._words[self._peer_word]
        used = (self._index - cons) & INDEX_MASK
        if used > self.size:
            raise self._impossible(cons)
        if self._barrier is not None:
            self._barrier()
        return self.size - used

    def offer(self, data: bytes) -> bool:
        """``put`` at our index, if there is room for all of it now.  Raises ``RingError``.

        As ``free`` and ``put`` say, in one call: a reply takes it.
        """
        index, size, cons = self._index, self.size, self._words[self._peer_word]
        used = (index - cons) & INDEX_MASK
        if used > size:
            raise self._impossible(cons)
        length = len(data)
        if length > size - used:
            return False
        if self._barrier is not None:
            self._barrier()
        start = index & self._mask
        end = start + length
        if end <= size:
            self._data[start:end] = data
        else:
            self.put(0, data)
        return True

    def put(self, at: int, data: bytes | bytearray | memoryview) -> None:
        """Copy ``data`` to ``at`` bytes after our index, without publishing it."""
        start = (self._index + at) & self._mask
        end = start + len(data)
        if end <= self.size:
            self._data[start:end] = data
        else:
            split = self.size - start
            self._data[start:] = data[:split]
            self._data[: end - self.size] = data[split:]


def backend_rings(
    words: memoryview, data: memoryview, name: str, barrier: Barrier | None = None
) -> tuple[ConsumerRing, ProducerRing]:
    """The backend's ends: it consumes the ``out`` half of ``data``, produces the ``in`` half."""
    half = len(data) // 2
    return (
        ConsumerRing(words, data[half:], OUT_PROD, OUT_CONS, f"{name} out", barrier=barrier),
        ProducerRing(words, data[:half], IN_PROD, IN_CONS, f"{name} in", barrier=barrier),
    )


def frontend_rings(
    words: memoryview, data: memoryview, name: str, barrier: Barrier | None = None
) -> tuple[ConsumerRing, ProducerRing]:
    """The frontend's ends: it consumes the ``in`` half of ``data``, produces the ``out`` half."""
    half = len(data) // 2
    return (
        ConsumerRing(words, data[:half], IN_PROD, IN_CONS, f"{name} in", barrier=barrier),
        ProducerRing(words, data[half:], OUT_PROD, OUT_CONS, f"{name} out", barrier=barrier),
    )
