"""What was taken and not answered when a worker ended is answered by the next, once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from protocol.ninep import flags as f
from protocol.ninep import messages as m
from protocol.ninep.codec import encode
from protocol.ninep.ids import NOFID, Fid, Tag
from tests.backend.journal.conftest import await_consumed, served
from tests.end_to_end.lives import kill_worker

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backend.journal.conftest import Served

ROOT, FILE = Fid(0), Fid(1)


def mount(guest: Served) -> None:
    guest.ask(m.Tversion(Tag(0xFFFF), 4096, b"9P2000.L"))
    guest.ask(m.Tattach(Tag(1), ROOT, NOFID, b"", b"", 0))


def create(guest: Served) -> None:
    guest.ask(m.Twalk(Tag(1), ROOT, FILE, ()))
    flags = os.O_RDWR | f.DOTL_EXCL
    assert isinstance(guest.ask(m.Tlcreate(Tag(1), FILE, b"file", flags, 0o600, 0))[0], m.Rlcreate)


def sync_and_flush(guest: Served) -> None:
    """A sync, its flush, another sync, and something else meanwhile."""
    guest.put(m.Tfsync(Tag(2), FILE, 0), 0)
    guest.put(m.Tflush(Tag(3), Tag(2)), 0)
    guest.put(m.Tfsync(Tag(4), FILE, 1), 0)
    guest.send(encode(m.Tgetattr(Tag(5), FILE, f.GETATTR_BASIC)))
    answers = [guest.answer(0) for _ in range(4)]
    assert sorted(answer.tag for answer in answers) == [2, 3, 4, 5]
    kinds = {answer.tag: type(answer) for answer in answers}
    assert kinds == {2: m.Rfsync, 3: m.Rflush, 4: m.Rfsync, 5: m.Rgetattr}
    order = [answer.tag for answer in answers]
    assert order.index(Tag(2)) < order.index(Tag(3)), "a flush was answered before what it flushes"


def test_syncs_and_their_flushes(export: Path) -> None:
    with served(export, "none") as guest:
        mount(guest)
        create(guest)
        before = guest.words[0]
        sync_and_flush(guest)
        steps = guest.words[0] - before
        assert steps > 8
        for step in range(1, steps + 1):
            guest.words[1] = guest.words[0] + step
            sync_and_flush(guest)
            assert guest.words[1] == 0, "no worker ended"


def test_what_a_sync_stands_on_must_not_change(export: Path) -> None:
    """A fid that is clunked takes the file along; a worker that dies then is not replaced, unless
    the sync is over by then.
    """
    with served(export, "none") as guest:
        mount(guest)
        create(guest)
        guest.put(m.Tfsync(Tag(2), FILE, 0), 0)
        guest.send(encode(m.Tclunk(Tag(3), FILE)))
        answers = {type(guest.answer(0)) for _ in range(2)}
        assert answers == {m.Rfsync, m.Rclunk}
        # Nothing of it is left: the next worker goes on.
        assert kill_worker(guest.process.pid)
        assert isinstance(guest.ask(m.Tmkdir(Tag(1), ROOT, b"d", 0o755, 0))[0], m.Rmkdir)


def test_long_replies_without_room_are_said_by_the_next_worker(export: Path) -> None:
    (export / "link").symlink_to("x" * 1000)
    with served(export, "none", order=1) as guest:
        mount(guest)
        guest.ask(m.Twalk(Tag(1), ROOT, FILE, (b"link",)))
        tags = range(2, 14)
        for tag in tags:
            guest.put(m.Treadlink(Tag(tag), FILE), 0)
        guest.events.notify(guest.rings[0].port)
        fit = guest.rings[0].replies.size // 1009
        await_consumed(guest, (len(tags) - fit - 1) * len(encode(m.Treadlink(Tag(2), FILE))))
        for _ in range(3):
            while not kill_worker(guest.process.pid):
                pass  # one is being born
        for tag in tags:
            assert guest.answer(0) == m.Rreadlink(Tag(tag), b"x" * 1000)


def test_replies_without_room_are_said_by_the_next_worker(export: Path) -> None:
    count = 40
    with served(export, "none", order=1) as guest:
        mount(guest)
        for tag in range(2, 2 + count):
            guest.put(m.Tgetattr(Tag(tag), ROOT, f.GETATTR_BASIC), 0)
        request = len(encode(m.Tgetattr(Tag(2), ROOT, f.GETATTR_BASIC)))
        reply = len(encode(m.Rgetattr(Tag(2), 0, m.Qid(0, 0, 0), *[0] * 18)))
        fit = guest.rings[0].replies.size // reply
        guest.events.notify(guest.rings[0].port)
        await_consumed(guest, (count - fit - 1) * request)
        for _ in range(3):
            while not kill_worker(guest.process.pid):
                pass  # one is being born
        assert [guest.answer(0).tag for _ in range(count)] == list(range(2, 2 + count))
