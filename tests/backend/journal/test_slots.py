"""What a worker has written for a commit that never came is nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.ninep import messages as m
from protocol.ninep.ids import NOFID, Fid, Tag
from tests.backend.journal.conftest import served

if TYPE_CHECKING:
    from pathlib import Path

TAG = Tag(1)
ROOT, NEW = Fid(0), Fid(20)


def test_an_uncommitted_fid_does_not_come_with_the_next_commit(export: Path) -> None:
    with served(export, "none") as guest:
        guest.ask(m.Tversion(Tag(0xFFFF), 8192, b"9P2000.L"))
        guest.ask(m.Tattach(TAG, ROOT, NOFID, b"", b"", 0))
        for number in range(10, 18):
            guest.ask(m.Twalk(TAG, ROOT, Fid(number), ()))
        # This worker takes the slot that was given back last, the next one the last that is free.
        for number in (16, 10):
            guest.ask(m.Tclunk(TAG, Fid(number)))
        for request in (m.Twalk(TAG, ROOT, NEW, ()), m.Tclunk(TAG, NEW)) * 3:
            guest.words[1] = guest.words[0] + 2  # answered, written; not committed
            reply, _ = guest.ask(request)
            assert not isinstance(reply, m.Rlerror), request
            assert guest.words[1] == 0, "no worker ended"
