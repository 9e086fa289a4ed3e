"""Files that are no files but streams: what is read was never there before, and may not be yet.

Linux's ``p9_client_read`` does not take a short read for an answer: it asks on, at the offset after
the last byte, until the program's buffer is full or a read gives nothing (net/9p/client.c).  For
a stream that would mean to wait for bytes that nobody may ever send, with those in hand that the
program is waiting for.  So the first Tread of such a client that goes on from a short read gets
nothing, where there is nothing; the next one waits.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class AsksOn(Enum):
    """What a client does after a short read, as far as its request to open tells.

    A client that takes what it gets reads at the same offset always, and is never mistaken.
    """

    ALWAYS = auto()
    """Every short read is followed by another, in the same read(2)."""
    PERHAPS = auto()
    """It said O_NONBLOCK, by which Linux 5.5 to 6.7 ask once, and later versions not: a read for
    the rest of the buffer is taken to be asking on."""


class ShortReads:
    """Tells the Tread by which a client asks on after a short read from one of a new read(2)."""

    __slots__ = ("_count", "_done", "_offset", "asks_on")

    def __init__(self, asks_on: AsksOn) -> None:
        self.asks_on = asks_on
        self._offset = -1
        self._count = 0
        self._done = 0

    def goes_on(self, offset: int, count: int) -> bool:
        """Whether this Tread goes on from a read that was short.  To be asked once for each."""
        expected, self._offset = self._offset, -1
        if offset != expected:
            return False
        if self.asks_on is AsksOn.ALWAYS:
            return True
        # The rest of a buffer that fits one message.  What is asked of a larger one cannot be told
        # from a new read, and to take that for asking on would be to end the file for its reader.
        return self._count - self._done <= count < self._count

    @property
    def kept(self) -> tuple[int, int, int]:
        """What ``restore`` has to know."""
        return self._offset, self._count, self._done

    def restore(self, offset: int, count: int, done: int) -> None:
        """Go on from where another process has come to."""
        self._offset, self._count, self._done = offset, count, done

    def answered(self, offset: int, count: int, done: int) -> None:
        """``done`` of ``count`` bytes were the answer."""
        if 0 < done < count:
            self._offset, self._count, self._done = offset + done, count, done


class Stream:
    """What an open file is that reads as a stream does."""

    def __init__(self) -> None:
        self.short_reads: Final = ShortReads(AsksOn.ALWAYS)
        """Whoever opens it may know more of the client."""
