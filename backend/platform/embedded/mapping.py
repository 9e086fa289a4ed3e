"""Pages scattered in a domain's memory as one contiguous range of this process's addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.platform.embedded import libc
from backend.platform.embedded.wire import run_of
from protocol.xenpv.ports import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence


class PageRange:
    """``count`` pages of the memory file ``fd``, mapped run after run in the order of ``runs``."""

    def __init__(self, fd: int, runs: Sequence[int], count: int) -> None:
        """Raises ``OSError`` (ENOMEM) when this process cannot have as many mappings."""
        self._length = count * PAGE_SIZE
        self._address = libc.reserve(self._length)
        try:
            at = self._address
            for run in runs:
                frame, pages = run_of(run)
                libc.place(at, pages * PAGE_SIZE, fd, frame * PAGE_SIZE)
                at += pages * PAGE_SIZE
            libc.keep_from_children(self._address, self._length)
        except BaseException:
            libc.unmap(self._address, self._length)
            raise
        self.memory = libc.view(self._address, self._length)

    def close(self) -> None:
        """Unmap; slices taken from ``memory`` must not be used any more."""
        if self._length:
            self.memory.release()
            libc.unmap(self._address, self._length)
            self._length = 0
