"""A process that takes a device over, before any request and at any step of it."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from backend.fileserver import ofd_locks
from backend.journal.layout import VERSION
from backend.worker import handover
from backend.worker.control import Failed, HandOver, Kept, Ready
from backend.worker.handover import Offer
from backend.worker.rings import KnownRing
from protocol.ninep import flags as f
from protocol.ninep import messages as m
from protocol.ninep.codec import encode
from protocol.ninep.ids import NOFID, Fid, Tag
from protocol.xenpv.ids import Evtchn, Gref
from protocol.xenpv.ports import OpenChannels
from tests.backend.journal import (
    test_attributes,
    test_dotu,
    test_every_point,
    test_locks,
    test_shares,
    test_state_files,
)
from tests.backend.journal.conftest import served
from tests.backend.journal.every_point import clear, found, held
from tests.backend.journal.handing import Handover, hand_over, heard
from tests.backend.journal.test_locks import TAG, lock, open_and_lock, wait_for
from tests.end_to_end.lives import kill_worker, worker_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tests.backend.journal.conftest import Served
    from tests.backend.journal.every_point import Said

ROOT = Fid(0)


def handed_over(guest: Served, conversation: Iterable[Said], every: int) -> Iterator[Said]:
    """The conversation, with a handover before each ``every``th request."""
    for number, said in enumerate(conversation):
        if number % every == every - 1:
            hand_over(guest)
        yield said


CONVERSATIONS = {
    "dotl": test_every_point.conversation,
    "dotu": test_dotu.conversation,
    "locks": test_locks.conversation,
    "attributes": test_attributes.conversation,
}


@pytest.mark.slow
@pytest.mark.usefixtures("user_attributes")
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_answers_and_tree_are_as_if_nothing_was_handed_over(export: Path, name: str) -> None:
    conversation: Callable[[], Iterable[Said]] = CONVERSATIONS[name]
    with served(export, "all") as guest:
        answers, tree = held(guest, conversation()), found(export)
        clear(export)
        assert held(guest, handed_over(guest, conversation(), 3)) == answers
        assert found(export) == tree


@pytest.mark.slow
@pytest.mark.usefixtures("user_attributes")
@pytest.mark.parametrize(
    "policy",
    [
        "all",
        "read-only",
        *(
            pytest.param(policy, marks=pytest.mark.long)
            for policy in ("fsync-on-close", "quota", "mapped-xattr")
        ),
    ],
)
def test_what_policies_keep_is_handed_over(export: Path, policy: str) -> None:
    conversation = test_shares.read_only
    if policy != "read-only":
        conversation = test_shares.CONVERSATIONS.get(policy, test_shares.written)
    with served(test_shares.share(export, policy), "all") as guest:
        answers, tree = held(guest, conversation()), found(export)
        assert held(guest, handed_over(guest, conversation(), 3)) == answers
        assert found(export) == tree


@pytest.mark.slow
@pytest.mark.usefixtures("user_attributes")
@pytest.mark.parametrize("name", ["new_files", "old_files", "saves"])
def test_what_is_pending_is_handed_over(export: Path, name: str) -> None:
    conversation = getattr(test_state_files, name)
    share = test_state_files.state(export) if name == "saves" else test_state_files.atomic(export)
    with served(share, "all") as guest:
        answers, tree = held(guest, conversation(export)), found(export)
        clear(export)
        assert held(guest, handed_over(guest, conversation(export), 3)) == answers
        assert found(export) == tree


@contextmanager
def mounted(export: Path, walls: str = "all") -> Iterator[Served]:
    with served(export, walls, rings=2) as guest:
        guest.ask(m.Tversion(Tag(0xFFFF), 8192, b"9P2000.L"))
        guest.ask(m.Tattach(TAG, ROOT, NOFID, b"", b"", 0))
        assert isinstance(heard(guest.channel), Ready)
        yield guest
        assert isinstance(guest.ask(m.Tmkdir(TAG, ROOT, b"last", 0o755, 0))[0], m.Rmkdir)
        assert (export / "last").is_dir()


def test_a_waiting_lock_is_waited_for_by_the_next(export: Path) -> None:
    with served(export, "all") as guest:
        open_and_lock(guest)
        wait_for(guest, 5, 2)
        guest.ask(m.Tgetattr(TAG, ROOT, f.GETATTR_BASIC))
        hand_over(guest)
        fd = os.open(export / "file", os.O_RDWR)
        assert not ofd_locks.lock(fd, 10, 20, write=True)
        os.close(fd)
        assert guest.ask(lock(test_locks.UNLOCK, 0, 100))[0] == m.Rlock(TAG, f.LOCK_SUCCESS)
        assert guest.answer(0) == m.Rlock(Tag(5), f.LOCK_SUCCESS)


def test_more_descriptors_than_a_packet_takes(export: Path) -> None:
    with mounted(export) as guest:
        for number in range(500):
            guest.ask(m.Twalk(TAG, ROOT, Fid(1000 + number), ()))
            create = m.Tlcreate(TAG, Fid(1000 + number), b"f%d" % number, os.O_RDWR, 0o600, 0)
            if number < 90:
                assert isinstance(guest.ask(create)[0], m.Rlcreate)
        before = len(os.listdir(f"/proc/{guest.process.pid}/fd"))
        for _ in range(3):
            hand_over(guest)
            for number in range(90):
                write = m.Twrite(TAG, Fid(1000 + number), 0, 5)
                assert guest.ask(write, b"hello")[0] == m.Rwrite(TAG, 5)
        # Each is given a few by whoever starts it; none is left from life to life.
        assert abs(len(os.listdir(f"/proc/{guest.process.pid}/fd")) - before) < 10


def fails(guest: Served, step: Callable[[Handover], None], reason: str | None) -> None:
    """A handover that comes to nothing: the old process stays, and another worker of it serves."""
    keeper = guest.process.pid
    handover = Handover(guest)
    step(handover)
    if reason is not None:
        while isinstance(message := heard(handover.channel), Ready):
            pass
        assert isinstance(message, Failed)
        assert reason in message.reason
        assert handover.process.wait(30) == 0
    handover.close()
    assert guest.process.pid == keeper
    assert isinstance(guest.ask(m.Tgetattr(TAG, ROOT, f.GETATTR_BASIC))[0], m.Rgetattr)
    assert guest.process.poll() is None


def before_it_is_prepared(handover: Handover) -> None:
    handover.close()


def before_the_order(handover: Handover) -> None:
    handover.prepare()
    handover.close()


def right_after_the_order(handover: Handover) -> None:
    handover.prepare()
    handover.process.send_signal(signal.SIGSTOP)
    handover.order()
    handover.close()


def when_it_is_ready(handover: Handover) -> None:
    handover.prepare()
    handover.order()
    handover.await_ready()
    handover.close()


@pytest.mark.parametrize(
    "step", [before_it_is_prepared, before_the_order, right_after_the_order, when_it_is_ready]
)
def test_the_old_one_goes_on_where_the_new_one_is_killed(
    export: Path, step: Callable[[Handover], None]
) -> None:
    with mounted(export) as guest:
        fails(guest, step, None)
        fails(guest, step, None)
        hand_over(guest)


def its_worker_dies(handover: Handover) -> None:
    handover.prepare()
    handover.order()
    handover.await_ready()
    assert kill_worker(handover.process.pid)


def the_supervisor_goes(handover: Handover) -> None:
    handover.prepare()
    handover.order()
    handover.await_ready()
    handover.channel._socket.shutdown(socket.SHUT_WR)


def test_the_old_one_goes_on_where_the_new_one_s_worker_dies(export: Path) -> None:
    with mounted(export) as guest:
        fails(guest, its_worker_dies, "it died before it had taken over: signal 9")


def test_the_old_one_goes_on_where_the_supervisor_goes_before_the_record(export: Path) -> None:
    with mounted(export) as guest:
        fails(guest, the_supervisor_goes, "the supervisor is gone")


def test_an_order_that_meets_a_dying_worker_is_followed_by_the_next(export: Path) -> None:
    with mounted(export) as guest:
        handover = Handover(guest)
        handover.prepare()
        worker = worker_of(guest.process.pid)
        os.kill(worker, signal.SIGSTOP)
        handover.order()
        os.kill(worker, signal.SIGKILL)
        handover.await_ready()
        handover.settle()


def test_a_share_whose_path_leads_elsewhere_stays_where_it_is(export: Path) -> None:
    with served(export, "all") as guest:
        guest.ask(m.Tversion(Tag(0xFFFF), 8192, b"9P2000.L"))
        guest.ask(m.Tattach(TAG, ROOT, NOFID, b"", b"", 0))
        export.rename(export.parent / "moved")
        export.mkdir()

        def all_of_it(handover: Handover) -> None:
            handover.prepare()
            handover.order()

        fails(guest, all_of_it, "the path of its share leads to another directory")
        assert isinstance(guest.ask(m.Tmkdir(TAG, ROOT, b"d", 0o755, 0))[0], m.Rmkdir)
        assert (export.parent / "moved" / "d").is_dir()


RING = KnownRing(0, 1, Evtchn(1), (Gref(1), Gref(2), Gref(3)))
OFFER = Offer(VERSION, 1, 10, (RING,), OpenChannels((), ()), 0, (), ())


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        (handover.pack(OFFER._replace(journal=99)), f"version 99, and version {VERSION} is known"),
        (handover.pack(OFFER).replace(b'"format": 1', b'"format": 2'), "it hands over in format 2"),
        (b"[]", "no offer"),
        (b"{", "no offer"),
        (handover.pack(OFFER._replace(lanes=2)), "damaged"),
        (handover.pack(OFFER), "no journal"),
    ],
)
def test_a_new_one_refuses_what_it_does_not_know(export: Path, offer: bytes, reason: str) -> None:
    with mounted(export) as guest:

        def wrong(handover: Handover) -> None:
            handover.prepare()
            handover._line.sendall(offer)

        fails(guest, wrong, reason)


def words(line: socket.socket, *said: bytes) -> bytes:
    """Read all that the old one hands over, then say this; its last word."""
    line.settimeout(30)
    while socket.recv_fds(line, 1 << 18, 200)[0] != handover.ALL:
        line.sendall(handover.NEXT)
    word = b""
    for each in said:
        line.sendall(each)
        word = line.recv(100)
    return word


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ((), b""),
        ((handover.TAKE,), handover.YOURS),
        ((handover.TAKE, handover.WHOSE), handover.KEPT),
        ((handover.WHOSE,), handover.KEPT),
        ((b"?",), handover.KEPT),
    ],
)
def test_an_old_one_goes_on_until_it_hears_the_last_word(
    export: Path, said: tuple[bytes, ...], answer: bytes
) -> None:
    with mounted(export) as guest:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            guest.channel.send_with(HandOver(), theirs.fileno())
        with ours:
            assert words(ours, *said) == answer
        assert isinstance(guest.ask(m.Tgetattr(TAG, ROOT, f.GETATTR_BASIC))[0], m.Rgetattr)


def test_an_old_one_that_cannot_hand_over_says_so_and_serves_on(export: Path) -> None:
    """A client with a long name waits for a lock."""
    (export / "file").touch()
    with served(export, "none") as guest:
        guest.ask(m.Tversion(Tag(0xFFFF), 4096, b"9P2000.L"))
        guest.ask(m.Tattach(TAG, ROOT, NOFID, b"", b"", 0))
        guest.ask(m.Twalk(TAG, ROOT, Fid(1), (b"file",)))
        guest.ask(m.Tlopen(TAG, Fid(1), os.O_RDWR))
        assert isinstance(heard(guest.channel), Ready)
        lock = m.Tlock(TAG, Fid(1), f.LOCK_TYPE_WRLCK, f.LOCK_FLAGS_BLOCK, 0, 0, 1, b"guest")
        guest.ask(lock)
        guest.send(encode(lock._replace(tag=Tag(2), proc_id=2, client_id=b"x" * 230)))
        guest.ask(m.Tgetattr(TAG, Fid(1), 0))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            guest.channel.send_with(HandOver(), theirs.fileno())
        kept = heard(guest.channel)
        assert isinstance(kept, Kept)
        assert kept.reason.startswith("a request waits")
        with ours:
            assert ours.recv(1) == b""
        guest.ask(m.Tlock(TAG, Fid(1), f.LOCK_TYPE_UNLCK, 0, 0, 0, 1, b"guest"))
        assert guest.answer(0) == m.Rlock(Tag(2), f.LOCK_SUCCESS)
