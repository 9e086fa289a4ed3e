"""Both ends do anything in any order, and the next client is served all the same."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from protocol.ninep.flags import DOTL_RDONLY, DOTL_RDWR, DOTL_WRONLY
from protocol.ninep.messages import Rlopen, Tclunk, Tflush

if TYPE_CHECKING:
    from protocol.ninep.ids import Fid, Tag

    from .guest import Guest

STEPS = 400


class Chaos:
    """A guest and Dom0's programs with a dice; nothing that they are told matters to them."""

    def __init__(self, guest: Guest, seed: int) -> None:
        self.guest = guest
        self.dice = random.Random(seed)
        self.fids: list[Fid] = []
        self.tags: list[Tag] = []
        self.clients: list[socket.socket] = []

    def run(self) -> None:
        acts = [
            *(self.open, self.read, self.write, self.clunk, self.flush),
            *(self.connect, self.say, self.listen, self.leave, self.wake),
        ]
        for _ in range(STEPS):
            self.dice.choice(acts)()
            self.drain()

    def drain(self) -> None:
        for _reply in iter(self.guest.take, None):
            pass

    def open(self) -> None:
        if len(self.fids) < 8:
            flags = self.dice.choice((DOTL_RDONLY, DOTL_WRONLY, DOTL_RDWR))
            fid, tag = self.guest.open(flags)
            self.fids.append(fid)
            self.tags.append(tag)

    def read(self) -> None:
        if self.fids:
            offset = self.dice.choice((0, 0, 10))
            self.tags.append(self.guest.read(self.dice.choice(self.fids), 5000, offset))

    def write(self) -> None:
        if self.fids:
            data = b"x" * self.dice.choice((0, 1, 100, 60_000))
            self.tags.append(self.guest.write(self.dice.choice(self.fids), data))

    def clunk(self) -> None:
        if self.fids:
            fid = self.fids.pop(self.dice.randrange(len(self.fids)))
            self.guest.send(Tclunk(next(self.guest.tags), fid))

    def flush(self) -> None:
        if self.tags:
            self.guest.send(Tflush(next(self.guest.tags), self.dice.choice(self.tags)))

    def connect(self) -> None:
        if len(self.clients) < 8:
            with suppress(BlockingIOError):  # the queue is full, of those that have left perhaps
                self.clients.append(self.guest.dom0())
                self.clients[-1].setblocking(False)

    def say(self) -> None:
        if self.clients:
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                self.dice.choice(self.clients).send(b"y" * self.dice.choice((1, 100, 60_000)))

    def listen(self) -> None:
        if self.clients:
            with suppress(BlockingIOError, ConnectionResetError):
                self.dice.choice(self.clients).recv(60_000)

    def leave(self) -> None:
        if self.clients:
            client = self.clients.pop(self.dice.randrange(len(self.clients)))
            if self.dice.random() < 0.3:
                with suppress(OSError):
                    client.shutdown(self.dice.choice((socket.SHUT_RD, socket.SHUT_WR)))
            client.close()

    def wake(self) -> None:
        self.guest.awake(0)

    def settle(self) -> None:
        """All leave; what waits is heard of."""
        for client in self.clients:
            client.close()
        for fid in self.fids:
            self.guest.send(Tclunk(next(self.guest.tags), fid))
        self.drain()
        while self.guest.awake(0):
            self.drain()
        self.empty_queue()

    def empty_queue(self) -> None:
        """Serve those that have left words, until an open waits; then that one is for the next."""
        while True:
            fid, tag = self.guest.open()
            while self.guest.awake(0):
                continue
            served = self.guest.take() is not None
            if not served:
                self.guest.send(Tflush(next(self.guest.tags), tag))
            self.guest.send(Tclunk(next(self.guest.tags), fid))
            self.drain()
            while self.guest.awake(0):
                self.drain()
            if not served:
                return


@pytest.mark.parametrize("seed", range(20))
def test_both_ends_come_and_go_at_every_point(guest: Guest, seed: int) -> None:
    chaos = Chaos(guest, seed)
    chaos.run()
    chaos.settle()
    assert guest.nothing(), "somebody still waits"
    with guest.dom0() as client:
        fid, _tag = guest.open()
        assert isinstance(guest.answer(), Rlopen)
        guest.write(fid, b"greeting")
        guest.answer()
        assert client.recv(100) == b"greeting"
        client.send(b"answer")
        guest.read(fid)
        assert guest.got() == b"answer"
