"""Two rings: what one worker has begun of one, the next may not come to first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocol.ninep import messages as m
from protocol.ninep.codec import encode
from protocol.ninep.ids import NOFID, Fid, Tag
from tests.backend.journal.conftest import served

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("step", [1, 2, 3], ids=["begun", "done", "answered"])
def test_another_lane_is_served_before_the_one_in_which_a_worker_died(
    export: Path, step: int
) -> None:
    with served(export, "none", rings=2) as guest:
        guest.ask(m.Tversion(Tag(0xFFFF), 8192, b"9P2000.L"))
        guest.ask(m.Tattach(Tag(1), Fid(0), NOFID, b"", b"", 0))
        guest.words[1] = guest.words[0] + step
        for tag in range(2, 5):
            guest.put(m.Tmkdir(Tag(tag), Fid(0), b"d%d" % tag, 0o755, 0), 0)
        guest.send(encode(m.Tmkdir(Tag(9), Fid(0), b"d9", 0o755, 0)), 1)
        assert isinstance(guest.answer(1), m.Rmkdir)
        assert guest.words[1] == 0, "no worker ended"
        for _ in range(3):
            assert isinstance(guest.answer(0), m.Rmkdir)
