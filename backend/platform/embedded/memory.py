"""What a domain's memory and numbers are handed out from: shuffled pools, and one memory file.

Frames are handed out scattered on purpose, in runs of 1 to 4 (``LAYOUT``): a range of N pages is
then N pages strewn over the frame space, as under Xen, and code that takes them for one block or
sorts them fails its tests.  Single pages throughout would cost one kernel mapping (VMA) each, and a
process has 65,530 of them (vm.max_map_count): 25 frontends with 2 rings of 513 pages, both ends
in one test process, would need 51,300; with runs they need about 20,000.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from backend.platform.embedded.libc import punch_hole
from backend.platform.embedded.wire import MAX_RUN, run_of, run_word
from protocol.xenpv.ports import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from protocol.xenpv.ids import Domid

FRAMES: Final = 1 << 17
"""A domain's memory: 512 MiB, four times what it can grant; what nobody touches costs nothing."""

T = TypeVar("T")


class Pool(Generic[T]):
    """Hands out items of a fixed order: those never used first, then the longest unused.

    A number that was given back comes again as late as possible, so that whoever still uses it
    finds an error, not somebody else's page.
    """

    __slots__ = ("_items", "_next", "_returned", "_what")

    def __init__(self, items: Sequence[T], what: str) -> None:
        self._items = items
        self._next = 0
        self._returned: deque[T] = deque()
        self._what = what

    def __len__(self) -> int:
        """How many are left."""
        return len(self._items) - self._next + len(self._returned)

    def __iter__(self) -> Iterator[T]:
        """What is left, in the order of ``take``."""
        yield from self._items[self._next :]
        yield from self._returned

    def take(self) -> T:
        """The next item.  Raises ``OSError`` (ENOSPC) when none is left."""
        if self._next < len(self._items):
            self._next += 1
            return self._items[self._next - 1]
        if self._returned:
            return self._returned.popleft()
        raise OSError(errno.ENOSPC, f"the domain has no {self._what} left")

    def put_back(self, item: T) -> None:
        """Take an item back."""
        self._returned.append(item)


def _layout() -> tuple[int, ...]:
    """The frame space cut into runs of 1 to 4 frames, shuffled: the same at every start."""
    rng = random.Random(9)  # noqa: S311 -- scattered and repeatable, not secret
    cells = []
    frame = 0
    while frame < FRAMES:
        length = min(rng.randint(1, MAX_RUN), FRAMES - frame)
        cells.append(run_word(frame, length))
        frame += length
    rng.shuffle(cells)
    return tuple(cells)


LAYOUT: Final = _layout()


class Memory:
    """One domain's RAM: a sparse memory file, given out in cells (runs of 1 to 4 frames).

    It lives as long as its domain or anybody's mapping of it: each ``Region`` holds it once.
    """

    def __init__(self, domid: Domid, cells: Sequence[int] = LAYOUT) -> None:
        self.fd: Final = os.memfd_create(f"domain-{domid}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, FRAMES * PAGE_SIZE)
        # A client that cut the file short would kill the other end with SIGBUS.
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)
        self._cells: Pool[int] = Pool(cells, "memory")
        self._holders = 1

    def room(self) -> int:
        """How many frames are left."""
        return sum(run_of(cell)[1] for cell in self._cells)

    def allocate(self, count: int) -> list[int]:
        """Zeroed cells of ``count`` frames or slightly more.  Raises ``OSError`` (ENOSPC)."""
        cells: list[int] = []
        try:
            while count > 0:
                cells.append(self._cells.take())
                count -= run_of(cells[-1])[1]
        except OSError:
            for cell in cells:
                self._cells.put_back(cell)
            raise
        self._holders += 1
        return cells

    def free(self, cells: list[int]) -> None:
        """Take an allocation back: nobody maps it any more."""
        if self._holders > 1:
            for cell in cells:
                start, length = run_of(cell)
                punch_hole(self.fd, start * PAGE_SIZE, length * PAGE_SIZE)
                self._cells.put_back(cell)
        self.let_go()

    def let_go(self) -> None:
        """One holder less: the domain is gone, or an allocation was freed."""
        self._holders -= 1
        if self._holders == 0:
            os.close(self.fd)
