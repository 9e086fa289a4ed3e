"""Channels are handed over with their device: nobody in Dom0 sees anything of it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest

from backend.channel.listening import listen
from backend.journal.journal import Journal
from backend.journal.layout import VERSION
from backend.share import NamedChannel, Share
from backend.worker import handover
from backend.worker.handover import Offer
from backend.worker.rings import KnownRing
from protocol.ninep import messages as m
from protocol.ninep.codec import encode
from protocol.ninep.ids import Tag
from protocol.xenpv.ids import Evtchn, Gref
from protocol.xenpv.ports import OpenChannels
from tests.backend.journal import test_channels
from tests.backend.journal.conftest import served
from tests.backend.journal.every_point import clear, found, held, mount
from tests.backend.journal.handing import Handover, hand_over
from tests.backend.journal.test_channels import (
    BOTH,
    TAG,
    ask,
    client,
    fill,
    look,
    opened,
    received,
    say,
    state,
)
from tests.backend.journal.test_handover import (
    before_it_is_prepared,
    before_the_order,
    fails,
    handed_over,
    its_worker_dies,
    right_after_the_order,
    the_supervisor_goes,
    when_it_is_ready,
)
from tests.end_to_end.lives import worker_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.backend.journal.conftest import Served


def identity(export: Path) -> tuple[int, int]:
    """Of what has the channel's name in Dom0."""
    status = os.lstat(export.parent / "qmp")
    return status.st_dev, status.st_ino


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 3])
def test_nobody_sees_anything(export: Path, every: int) -> None:
    conversation = partial(test_channels.talk, export)
    with served(state(export), "all") as guest:
        answers, tree, before = held(guest, conversation()), found(export), identity(export)
        clear(export)
        assert held(guest, handed_over(guest, conversation(), every)) == answers
        assert found(export) == tree
        assert identity(export) == before


def test_a_share_of_channels_alone(export: Path) -> None:
    share = Share(channels=(NamedChannel("qmp", str(export.parent / "qmp")),))
    with served(share, "all") as guest:
        say(guest, mount())
        for _ in range(3):
            hand_over(guest)
            with client(export) as dom0:
                say(guest, opened(BOTH, os.O_RDWR))
                hand_over(guest)
                dom0.sendall(b"hello")
                assert guest.ask(m.Tread(TAG, BOTH, 0, 100))[1] == b"hello"
                ask(guest, m.Tclunk(TAG, BOTH))


def test_what_waits_goes_on_waiting(export: Path) -> None:
    with served(state(export), "all") as guest:
        say(guest, mount())
        test_channels.waits(guest, export, hand_over)


def test_writes_that_wait_are_sent_once(export: Path) -> None:
    with served(state(export), "none") as guest:
        say(guest, mount())
        with client(export) as dom0:
            say(guest, opened(BOTH, os.O_RDWR))
            said, last = fill(guest)
            guest.put(m.Twrite(Tag(6), BOTH, 0, 6), 0, b"behind")
            look(guest)
            hand_over(guest)
            read = b""
            while len(read) < len(said):
                read += dom0.recv(1 << 20)
            for tag, data in ((2, last), (6, b"behind")):
                answer = guest.answer(0)
                assert isinstance(answer, m.Rwrite)
                assert answer.tag == tag
                said += data[: answer.count]
                hand_over(guest)
            ask(guest, m.Tclunk(TAG, BOTH))
            while some := dom0.recv(1 << 20):
                read += some
            assert read == said


def test_who_waits_in_the_queue_keeps_place_and_words(export: Path) -> None:
    words = (b"one", b"two", b"three")
    with served(state(export), "none") as guest, ExitStack() as stack:
        say(guest, mount())
        clients = []
        for word in words:
            clients.append(stack.enter_context(client(export)))
            clients[-1].sendall(word)
        for dom0, word in zip(clients, words, strict=True):
            say(guest, opened(BOTH, os.O_RDWR))
            hand_over(guest)
            assert guest.ask(m.Tread(TAG, BOTH, 0, 100))[1] == word
            ask(guest, m.Twrite(TAG, BOTH, 0, len(word)), word)
            received(dom0, word)
            ask(guest, m.Tclunk(TAG, BOTH))


def test_a_client_whose_worker_dies_as_it_comes_is_handed_over(export: Path) -> None:
    """Accepted, and no commit says so; the next worker hands over before it looks at the ring."""
    with served(state(export), "none") as guest:
        say(guest, mount())
        ask(guest, m.Twalk(TAG, test_channels.ROOT, BOTH, (b"qmp",)))
        with client(export) as dom0:
            dom0.sendall(b"here")
            handing = Handover(guest)
            handing.prepare()
            keeper = guest.process.pid
            worker = os.pidfd_open(worker_of(keeper))
            os.kill(keeper, signal.SIGSTOP)
            guest.words[1] = guest.words[0] + 1
            guest.send(encode(m.Tlopen(Tag(2), BOTH, os.O_RDWR)))
            assert select.select([worker], [], [], 30)[0], "no worker ended"
            os.close(worker)
            handing.order()
            os.kill(keeper, signal.SIGCONT)
            handing.await_ready()
            handing.settle()
            assert guest.answer(0)[:1] == (2,)
            assert guest.ask(m.Tread(TAG, BOTH, 0, 100))[1] == b"here"


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (before_it_is_prepared, None),
        (before_the_order, None),
        (right_after_the_order, None),
        (when_it_is_ready, None),
        (its_worker_dies, "it died before it had taken over"),
        (the_supervisor_goes, "the supervisor is gone"),
    ],
)
def test_the_old_one_listens_and_serves_on(
    export: Path, step: Callable[[Handover], None], reason: str | None
) -> None:
    with served(state(export), "all") as guest:
        say(guest, mount())
        before = identity(export)
        with client(export) as dom0, client(export) as waits:
            waits.sendall(b"first word")
            say(guest, opened(BOTH, os.O_RDWR))
            dom0.sendall(b"hello, and more")
            assert guest.ask(m.Tread(TAG, BOTH, 0, 5))[1] == b"hello"
            ready(guest)
            fails(guest, step, reason)
            assert guest.ask(m.Tread(TAG, BOTH, 5, 100))[1] == b", and more"
            guest.put(m.Tread(Tag(2), BOTH, 0, 100), 0)
            look(guest)
            fails(guest, step, reason)
            dom0.sendall(b"late")
            assert guest.receive().endswith(b"late")
            ask(guest, m.Twrite(TAG, BOTH, 0, 5), b"reply")
            received(dom0, b"reply")
            ask(guest, m.Tclunk(TAG, BOTH))
            assert dom0.recv(1) == b""
            say(guest, opened(BOTH, os.O_RDWR))
            assert guest.ask(m.Tread(TAG, BOTH, 0, 100))[1] == b"first word"
        assert identity(export) == before


def ready(guest: Served) -> None:
    assert select.select([guest.channel.fileno()], [], [], 30)[0]
    guest.channel.receive()


def at_another_path(export: Path) -> socket.socket:
    return listen(str(export.parent / "another"))


def of_another_kind(export: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end.bind(str(export.parent / "packets"))
    end.listen()
    return end


def a_client_of_it(export: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX)
    end.connect(str(export.parent / "qmp"))
    return end


def one_that_does_not_listen(export: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX)
    end.bind(str(export.parent / "bound"))
    return end


IMPOSTORS = [at_another_path, of_another_kind, a_client_of_it, one_that_does_not_listen]


@pytest.mark.parametrize(
    ("make", "handed", "reason"),
    [
        *((make, "it", "of channel qmp no socket came that listens at") for make in IMPOSTORS),
        (at_another_path, "nothing", "of channel qmp no socket came that listens at"),
        (at_another_path, "none", "it has 0 channels, and its share has 1"),
    ],
)
def test_what_is_said_to_listen_is_not_believed(
    export: Path, make: Callable[[Path], socket.socket], handed: str, reason: str
) -> None:
    """The new process meets one that hands over ``make``'s socket in the listener's place."""
    with served(state(export), "none") as guest:
        say(guest, mount())
        ready(guest)
        before = identity(export)
        with make(export) as impostor:

            def wrong(handing: Handover) -> None:
                handing.prepare()
                offer(handing._line, export, impostor.fileno(), handed)

            fails(guest, wrong, reason)
        assert identity(export) == before


def offer(line: socket.socket, export: Path, listener: int, handed: str) -> None:
    """As an old process does, as far as it is listened to."""
    directory = os.open(export, os.O_PATH | os.O_DIRECTORY)
    root = os.memfd_create("root")
    ring = KnownRing(0, 1, Evtchn(1), (Gref(1), Gref(2), Gref(3)))
    listeners = () if handed == "none" else (listener,)
    said = Offer(*(VERSION, 1, 10, (ring,), OpenChannels((), ()), root, (directory,), listeners))
    journal = Journal(1, 10).copied()
    line.settimeout(30)
    numbers = [directory, root] + ([listener] if handed == "it" else [])
    socket.send_fds(line, [handover.pack(said)], [journal])
    assert line.recv(100) == handover.NEXT
    socket.send_fds(line, [json.dumps(numbers).encode()], numbers)
    assert line.recv(100) == handover.NEXT
    line.sendall(handover.ALL)
    for fd in (directory, root, journal):
        os.close(fd)
