"""Fids: what a client's numbers stand for."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NoReturn

from backend.fileserver.files import NO_CHANGE, UNOPENED
from protocol.ninep.ids import NOFID, Fid

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.fileserver.files import File, Node
    from backend.fileserver.limits import Slots
    from backend.fileserver.locked_files import LockedFile
    from backend.fileserver.places import Place


class FidState:
    """A file that a client holds: its node, where it was found, and the open file if it is open.

    ``place`` is ``None`` for the root of an attach, and for a directory that was reached by ``..``.
    """

    __slots__ = (
        "_slots",
        "_taken",
        "file",
        "given_up",
        "locked",
        "node",
        "number",
        "place",
        "remove_on_close",
        "uid",
    )

    def __init__(self, node: Node, place: Place | None = None, uid: int = NO_CHANGE) -> None:
        """Take over the caller's hold on ``node`` and ``place``."""
        self.node = node
        self.place = place
        self.number = NOFID
        """Which fid it is, from ``FidTable.add`` on."""
        self.uid: Final = uid
        """To whom the files belong that are created through this fid: the user who attached."""
        self.file: File = UNOPENED
        self.remove_on_close = False
        """Whether it was opened with ORCLOSE; whoever drops the fid removes the file's name."""
        self.locked: LockedFile | None = None
        """Where locks were asked for through this fid."""
        self.given_up: Callable[[], None] | None = None
        """Set while a request to open it is parked; to be called when the fid ends before that."""
        self._slots: Slots | None = None
        self._taken = 0

    @property
    def is_open(self) -> bool:
        """Whether Tlopen, Tlcreate, Txattrwalk or Txattrcreate was here."""
        return self.file is not UNOPENED

    def set_open(self, file: File, slots: Slots, taken: int = 1) -> None:
        """Take over an open file and as many slots as were taken for it."""
        self.file = file
        self._slots = slots
        self._taken = taken

    def move(self, node: Node, place: Place | None) -> None:
        """Stand for another file from now on; take over the caller's holds."""
        self._let_go()
        self.node = node
        self.place = place

    def end(self) -> File:
        """Give everything back but the open file (``UNOPENED`` if none), which is the caller's."""
        file, self.file = self.file, UNOPENED
        self._let_go()
        if self._slots is not None:
            self._slots.give(self._taken)
            self._slots = None
        if self.locked is not None:
            self.locked.drop(self)
            self.locked = None
        if self.given_up is not None:
            self.given_up()
        return file

    def _let_go(self) -> None:
        self.node.release()
        if self.place is not None:
            self.place.release()


class FidTable(dict[Fid, FidState]):
    """The fids of a session.  A dict, so that the hot path pays for a lookup and nothing else.

    ``table[fid]`` raises ``OSError`` EBADF for a fid that is not in use.  Entries are made by
    ``add`` and end by ``end`` or ``drop_all``, which keep count in ``slots``.
    """

    __slots__ = ("_slots",)

    def __init__(self, slots: Slots) -> None:
        super().__init__()
        self._slots = slots

    def __missing__(self, fid: Fid) -> NoReturn:
        """Say so in the protocol's words."""
        raise OSError(errno.EBADF, f"fid {fid} is not in use")

    def check_free(self, fid: Fid) -> None:
        """Let a number pass that ``add`` may enter.

        Raises ``OSError``: EBADF for NOFID, EMFILE when there are too many, EBUSY for a fid in use
        (EBADF would read as if the *old* fid of a walk were unknown; Linux never comes here).
        """
        if fid == NOFID:
            raise OSError(errno.EBADF, "NOFID is no fid")
        if fid in self:
            raise OSError(errno.EBUSY, f"fid {fid} is in use")
        self._slots.check(1)

    def add(self, fid: Fid, state: FidState) -> None:
        """Enter a fid for which ``check_free`` found nothing wrong."""
        self._slots.take()
        state.number = fid
        self[fid] = state

    def end(self, fid: Fid) -> File:
        """Forget a fid; its open file (``UNOPENED`` if none) is the caller's, who closes it."""
        state = self[fid]
        del self[fid]
        self._slots.give()
        return state.end()

    def drop_all(self) -> list[OSError]:
        """Forget every fid, and discard the files that nobody closed; what that raised."""
        errors = []
        while self:
            try:
                self.end(next(iter(self))).discard()
            except OSError as error:
                errors.append(error)
        return errors
