"""Bytes go both ways, ends are passed on, and nobody is waited for who is gone."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from backend.stubdom.relay import relay

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 20.0


class Between:
    """A client and a channel's guest, with the relay between them on a thread."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.client, theirs = socket.socketpair()
        self.guest, ours = socket.socketpair()
        for each in (self.client, self.guest):
            stack.enter_context(each)
        for each in (self.client, self.guest):
            each.settimeout(PATIENCE)
        self.thread = threading.Thread(target=self._relayed, args=(theirs, ours))
        self.thread.start()

    @staticmethod
    def _relayed(theirs: socket.socket, ours: socket.socket) -> None:
        with theirs, ours:
            relay(theirs, ours)

    def ended(self) -> bool:
        self.thread.join(PATIENCE)
        return not self.thread.is_alive()


@pytest.fixture
def between(leak_free: None) -> Iterator[Between]:
    with contextlib.ExitStack() as stack:
        between = Between(stack)
        yield between
        between.client.close()
        between.guest.close()
        assert between.ended()


def receive(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := sock.recv(count - len(data))):
        data += more
    return data


def test_both_ways(between: Between) -> None:
    for _ in range(3):
        between.guest.sendall(b"greeting")
        assert receive(between.client, 8) == b"greeting"
        between.client.sendall(b"request")
        assert receive(between.guest, 7) == b"request"


@pytest.mark.parametrize("source", ["client", "guest"])
def test_much_more_than_is_kept(between: Between, source: str) -> None:
    data = os.urandom(5 << 20)
    one, other = between.client, between.guest
    if source == "guest":
        one, other = other, one
    sender = threading.Thread(target=one.sendall, args=(data,))
    sender.start()
    assert receive(other, len(data)) == data
    sender.join(PATIENCE)


def test_what_the_guest_said_last_is_heard(between: Between) -> None:
    between.guest.sendall(b"bye")
    between.guest.close()
    assert between.client.recv(100) == b"bye"
    assert between.client.recv(100) == b"" or between.ended()
    assert between.ended()


def test_a_client_that_says_no_more_still_gets_its_answer(between: Between) -> None:
    between.client.sendall(b"request")
    between.client.shutdown(socket.SHUT_WR)
    assert receive(between.guest, 100) == b"request"  # and the end
    between.guest.sendall(b"answer")
    assert receive(between.client, 6) == b"answer"
    between.guest.close()
    assert between.ended()


@pytest.mark.parametrize("unread", [b"", b"an answer that nobody reads"])
def test_a_client_that_is_gone_ends_it(between: Between, unread: bytes) -> None:
    between.client.sendall(b"last words")
    between.guest.sendall(unread)
    between.client.close()
    assert receive(between.guest, 100) == b"last words"
    assert between.ended()


def test_a_guest_that_hangs_up_on_a_client_that_sends(between: Between) -> None:
    between.guest.close()
    assert between.ended()
