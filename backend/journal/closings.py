"""Files that are closed in steps, after their fids are gone: written down until the last step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.journal.layout import ENDED, Slot
from backend.journal.slots import NO_FILE, fd_and_path, with_note

if TYPE_CHECKING:
    from backend.fileserver.files import Closing
    from backend.journal.debts import Debt


class ClosingFile:
    """One of them, of which less and less is left."""

    def __init__(self, file: Closing, path: int) -> None:
        """``path`` is the file's qid path."""
        self._file = file
        self._path = path
        self._left: Slot | None = None

    def left(self, debt: Debt, commit: int) -> tuple[bool, Slot | None]:
        """Whether there is less than there was at the last look, and what to write down.

        Nothing (``None``), where nobody else could go on.
        """
        slot = _slot(self._file, self._path)
        if slot is not None:
            slot = slot._replace(key=debt.lane << 16 | debt.tag, place=debt.order)
        changed, self._left = slot != self._left, slot
        return changed, None if slot is None else slot._replace(born=commit)


def _slot(file: Closing, path: int) -> Slot | None:
    if file.closed:
        fd, entry_path = fd_and_path(file.entry)
        return Slot(0, 0, 0, entry_path, ENDED, 0, 0, fd, NO_FILE, 0, 0, 0, b"")
    note = file.note()
    if note is None:
        return None
    slot = Slot(0, 0, 0, path, ENDED, 0, 0, NO_FILE, file.fileno(), 0, 0, 0, b"")
    return with_note(slot, note)
