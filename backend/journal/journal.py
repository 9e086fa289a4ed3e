"""A journal's memory: what the worker of the moment writes (``writer``) and its keeper looks at."""

from __future__ import annotations

import errno
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
    Uncovered.WAITING: "a request waits that is too long, or for a file that its fid stands for no"
    " more; or a reply waits for room, and more does than is kept",
    Uncovered.ODD: "a fid stands for a file of another file system, or for one of more attributes"
    " than there is room for",
}

_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_PIECE: Final = 1 << 20


class Journal:
    """The memory of one device, shared by its keeper and the worker of the moment."""

    def __init__(self, lanes: int, max_fids: int, copy: int | None = None) -> None:
        """A new one, before the first worker; or one that another keeper has ``copied``, whose
        descriptor stays the caller's.  Raises ``OSError``.
        """
        self.lanes: Final = lanes
        self.fids: Final = max_fids
        # A fid has one slot for itself and at most one for its place; what replaces them is
        # written before they can be used again.
        self.slots: Final = 4 * max_fids + 2 * (debts.MOST + MAX_LOCKS) + 64
        size = layout.journal_size(self.slots)
        fd = _new_memory(size) if copy is None else copy
        try:
            if (
                os.fstat(fd).st_size != size
                or fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS
            ):
                raise OSError(errno.EINVAL, f"not a journal of {lanes} lanes and {max_fids} fids")
            self.memory: Final = mmap.mmap(fd, size)
        finally:
            if copy is None:
                os.close(fd)
        self.words: Final = memoryview(self.memory).cast("Q")
        self.halves: Final = memoryview(self.memory).cast("I")
        if copy is not None:
            return
        self.memory[: layout.HEADER.sizeof()] = layout.HEADER.build(
            {
                "version": layout.VERSION,
                "lanes": lanes,
                "slots": self.slots,
                "control": -1,
                "outlives": 0,
                "handing": 0,
                "committed": 0,
                "serving": 0,
                "used": 0,
            }
        )

    def copied(self) -> int:
        """A descriptor of a copy of all that was ever written.  Raises ``OSError``."""
        fd = _new_memory(len(self.memory))
        used = min(self.halves[layout.USED_HALF], self.slots)
        try:
            slots_end = layout.SLOTS_AT + used * layout.SLOT_SIZE
            for at in range(0, slots_end, _PIECE):
                os.pwrite(fd, self.memory[at : min(at + _PIECE, slots_end)], at)
            for at in range(layout.values_at(self.slots), len(self.memory), layout.BLOCK):
                block = self.memory[at : at + layout.BLOCK]
                if block.strip(b"\0"):  # what was never written takes no memory there either
                    os.pwrite(fd, block, at)
        except BaseException:
            os.close(fd)
            raise
        return fd

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
    def handing(self) -> int:
        """The descriptor by which the keeper is to hand over."""
        return self.halves[layout.HANDING_HALF]

    @handing.setter
    def handing(self, descriptor: int) -> None:
        self.halves[layout.HANDING_HALF] = descriptor

    @property
    def serving(self) -> int | None:
        """The lane whose requests are being looked at."""
        lane = self.halves[layout.SERVING_HALF]
        return lane - 1 if 0 < lane <= self.lanes else None

    def serve(self, lane: int | None) -> None:
        """Requests of this lane, or of none, are looked at: which one a death is due to."""
        self.halves[layout.SERVING_HALF] = 0 if lane is None else lane + 1

    def begun(self, lane: int) -> Begun:
        """The request of this lane that was begun last."""
        at = layout.BEGUN_AT + lane * layout.BEGUN_SIZE
        return Begun(*layout.BEGUN_PACKING.unpack_from(self.memory, at))


def _new_memory(size: int) -> int:
    """A memory file, sealed against any change of its size.  Raises ``OSError``."""
    fd = os.memfd_create("xen-fileproxy-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd
