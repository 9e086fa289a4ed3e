"""Where no other worker is to go on."""

from __future__ import annotations

import errno
import select
from typing import TYPE_CHECKING

from backend.worker.control import Failed, Ready
from backend.worker.keeper import MOST_TRIES
from protocol.ninep import messages as m
from protocol.ninep.codec import encode
from protocol.ninep.ids import NOFID, Fid, Tag
from tests.backend.journal.conftest import await_consumed, served
from tests.end_to_end.lives import kill_worker

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backend.journal.conftest import Served


def test_a_request_that_ends_every_worker_is_refused_and_the_next_is_served(export: Path) -> None:
    mkdir = m.Tmkdir(Tag(1), Fid(0), b"d", 0o755, 0)
    with served(export, "none") as guest:
        guest.ask(m.Tversion(Tag(0xFFFF), 8192, b"9P2000.L"))
        guest.ask(m.Tattach(Tag(1), Fid(0), NOFID, b"", b"", 0))
        guest.words[2] = 1
        assert guest.ask(mkdir)[0] == m.Rlerror(Tag(1), errno.EIO)
        assert not list(export.iterdir())
        guest.words[2] = 0
        assert isinstance(guest.ask(mkdir)[0], m.Rmkdir)
        assert (export / "d").is_dir()


def test_a_state_that_is_not_covered_ends_the_device_with_the_reason(export: Path) -> None:
    """Links of a thousand bytes, until one finds no room."""
    (export / "link").symlink_to("x" * 1000)
    with served(export, "none", order=1) as guest:
        guest.ask(m.Tversion(Tag(0xFFFF), 4096, b"9P2000.L"))
        guest.ask(m.Tattach(Tag(1), Fid(0), NOFID, b"", b"", 0))
        guest.ask(m.Twalk(Tag(1), Fid(0), Fid(1), (b"link",)))
        for tag in range(2, 8):
            guest.put(m.Treadlink(Tag(tag), Fid(1)), 0)
        guest.events.notify(guest.rings[0].port)
        await_consumed(guest, len(encode(m.Treadlink(Tag(2), Fid(1)))))
        assert kill_worker(guest.process.pid)
        assert guest.process.wait(30) == 0
        assert isinstance(guest.channel.receive(), Ready)
        failed = guest.channel.receive()
        assert isinstance(failed, Failed)
        assert failed.reason.startswith("worker died: signal 9; none can go on: a request waits")


def await_ready(guest: Served) -> None:
    """Until the next worker is behind its walls."""
    ready, _, _ = select.select([guest.channel.fileno()], [], [], 30)
    assert ready
    assert isinstance(guest.channel.receive(), Ready)


def test_workers_that_are_killed_while_nobody_asks_are_no_crash_loop(export: Path) -> None:
    with served(export, "none") as guest:
        guest.ask(m.Tversion(Tag(0xFFFF), 8192, b"9P2000.L"))
        guest.ask(m.Tattach(Tag(1), Fid(0), NOFID, b"", b"", 0))
        await_ready(guest)
        for _ in range(2 * MOST_TRIES):
            assert kill_worker(guest.process.pid)
            await_ready(guest)
        assert isinstance(guest.ask(m.Tmkdir(Tag(1), Fid(0), b"d", 0o755, 0))[0], m.Rmkdir)
