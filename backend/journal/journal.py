"""A journal's memory: what the worker of the moment writes (``writer``) and its keeper looks at."""

from __future__ import annotations

import fcntl
import mmap
import os
from enum import IntEnum
from typing import Any, Final

from backend.fileserver.limits import MAX_LOCKS
from backend.journal import debts, layout
from backend.journal.layout import Begun
from protocol.ninep.dialects import Dialect

DIALECTS: Final = (None, Dialect.DOTL, Dialect.DOTU)
"""By number in a commit."""


class Uncovered(IntEnum):
    """Why a state is not one that the next worker could go on from, by number in a commit."""

    NOT = 0
    WAITING = 1
    ODD = 2


WHY_UNCOVERED: Final[dict[int, str]] = {
    Uncovered.WAITING: "a request waits for a file that its fid stands for no more, or a long reply"
    " for room",
    Uncovered.ODD: "a fid stands for a file of another file system, or for one of more attributes"
    " than there is room for",
}


class Journal:
    """The memory of one device, shared by its keeper and the worker of the moment."""

    def __init__(self, lanes: int, max_fids: int) -> None:
        """A new one, before the first worker.  Raises ``OSError``."""
        self.lanes: Final = lanes
        # A fid has one slot for itself and at most one for its place; what replaces them is
        # written before they can be used again.
        self.slots: Final = 4 * max_fids + 2 * (debts.MOST + MAX_LOCKS) + 64
        size = layout.journal_size(self.slots)
        fd = os.memfd_create("xen-fileproxy-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
            self.memory: Final = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        self.words: Final = memoryview(self.memory).cast("Q")
        self.halves: Final = memoryview(self.memory).cast("I")
        self.memory[: layout.HEADER.sizeof()] = layout.HEADER.build(
            {
                "version": layout.VERSION,
                "lanes": lanes,
                "slots": self.slots,
                "control": -1,
                "outlives": 0,
                "committed": 0,
                "serving": 0,
                "used": 0,
            }
        )

    @property
    def committed(self) -> int:
        """The number of the last commit; 0: none yet."""
        return self.words[layout.COMMITTED_WORD]

    @property
    def uncovered(self) -> str | None:
        """Why the state of the last commit cannot be gone on from."""
        if not self.committed:
            return None
        number = int(self.last_commit().uncovered)
        return WHY_UNCOVERED.get(number, f"reason {number}") if number else None

    def last_commit(self) -> Any:  # noqa: ANN401 -- as construct parses
        """The last commit as it lies there; there is one."""
        at = layout.COMMIT_AT[self.committed & 1]
        return layout.COMMIT.parse(self.memory[at : at + layout.COMMIT_SIZE])

    @property
    def supervision(self) -> tuple[int, bool]:
        """What ``note_supervision`` was told last."""
        control = self.halves[layout.CONTROL_HALF]
        return control - (control >> 31 << 32), bool(self.halves[layout.OUTLIVES_HALF])

    def note_supervision(self, control: int, outlives: bool) -> None:
        """The descriptor of the line to the supervisor, -1 for none, and whether to outlive it."""
        self.halves[layout.CONTROL_HALF] = control & 0xFFFF_FFFF
        self.halves[layout.OUTLIVES_HALF] = outlives

    @property
    def serving(self) -> int | None:
        """The lane whose requests are being looked at."""
        lane = self.halves[layout.SERVING_HALF]
        return lane - 1 if 0 < lane <= self.lanes else None

    @serving.setter
    def serving(self, lane: int | None) -> None:
        self.halves[layout.SERVING_HALF] = 0 if lane is None else lane + 1

    def begun(self, lane: int) -> Begun:
        """The request of this lane that was begun last."""
        at = layout.BEGUN_AT + lane * layout.BEGUN_SIZE
        return Begun(*layout.BEGUN_PACKING.unpack_from(self.memory, at))
