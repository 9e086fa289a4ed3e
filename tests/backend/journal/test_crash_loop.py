"""Where no other worker is to go on."""

from __future__ import annotations

import errno
import os
import select
from typing import TYPE_CHECKING

from backend.worker.control import Failed, Ready
from backend.worker.keeper import MOST_TRIES
from protocol.ninep import flags as f
from protocol.ninep import messages as m
from protocol.ninep.codec import encode
from protocol.ninep.ids import NOFID, Fid, Tag
from tests.backend.journal.conftest import served
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
    """A client with a long name waits for a lock."""
    (export / "file").touch()
    with served(export, "none") as guest:
        guest.ask(m.Tversion(Tag(0xFFFF), 4096, b"9P2000.L"))
        guest.ask(m.Tattach(Tag(1), Fid(0), NOFID, b"", b"", 0))
        guest.ask(m.Twalk(Tag(1), Fid(0), Fid(1), (b"file",)))
        guest.ask(m.Tlopen(Tag(1), Fid(1), os.O_RDWR))
        lock = m.Tlock(Tag(1), Fid(1), f.LOCK_TYPE_WRLCK, f.LOCK_FLAGS_BLOCK, 0, 0, 1, b"guest")
        guest.ask(lock)
        guest.send(encode(lock._replace(tag=Tag(2), proc_id=2, client_id=b"x" * 230)))
        guest.ask(m.Tgetattr(Tag(1), Fid(1), 0))
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
