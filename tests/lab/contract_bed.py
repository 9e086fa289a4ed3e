"""The contract suite's bed under real Xen: Dom0 here, two guests with agents in them."""

from __future__ import annotations

import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING

from backend.platform import open_platform
from tests.contract.peer import Peer, RemotePeer
from tests.lab.guests import PYTHON, Guest

if TYPE_CHECKING:
    from backend.platform.platform import Platform
    from protocol.xenpv.ids import Domid

_SECONDS = 36000
_PATIENCE = 120.0
"""Seconds for an answer: emulated processors of a machine that is busy with other things."""


class AgentGuest:
    """A guest, and the lines of the agents in it."""

    def __init__(self) -> None:
        self.guest = Guest(PYTHON)
        self.guest.begin("cd /lab/source && exec python3 -m tests.lab.agents", _SECONDS)
        self._numbers = count(1)
        self._lines: dict[str, deque[str]] = {}

    def peer(self) -> GuestPeer:
        """A new agent."""
        name = f"@{next(self._numbers)}"
        self._lines[name] = deque()
        return GuestPeer(self, name, self.guest.domid)

    def receive(self, name: str) -> str:
        """The next line of an agent."""
        deadline = time.monotonic() + _PATIENCE
        while not self._lines[name]:
            whose, _, line = self.guest.line(max(0, deadline - time.monotonic())).partition(" ")
            if whose in self._lines:
                self._lines[whose].append(line)
        return self._lines[name].popleft()


class GuestPeer(RemotePeer):
    """An agent in a guest."""

    def __init__(self, where: AgentGuest, name: str, domid: Domid) -> None:
        self.domid = domid
        self._where = where
        self._name = name
        self._ended = False
        self._order(f"start {domid}")
        self._answer()

    def _order(self, text: str) -> None:
        self._where.guest.send(f"{self._name} {text}")

    def _send(self, line: str) -> None:
        self._order(f"ask {line}")

    def _receive(self) -> str:
        return self._where.receive(self._name)

    def kill(self) -> None:
        """SIGKILL, and reap."""
        self._order("kill")
        self._reap()

    def close(self) -> None:
        """Let it give everything back and end; that must succeed."""
        if not self._ended and not self._where.guest.destroyed:
            self._order("close")
            assert self._reap() == 0

    def _reap(self) -> int:
        self._ended = True
        while not (line := self._receive()).startswith("ended "):
            pass
        return int(line.split()[1])


class XenBed:
    """Two guests, kept from test to test as long as no test destroys them."""

    def __init__(self, kept: list[AgentGuest]) -> None:
        kept[:] = [guest for guest in kept if not guest.guest.destroyed]
        while len(kept) < 2:
            kept.append(AgentGuest())
        self._kept = kept
        self.guest, self.other = (guest.guest.domid for guest in kept)

    def dom0(self) -> Platform:
        return open_platform("xen")

    def agent(self, domid: int) -> Peer | GuestPeer:
        for guest in self._kept:
            if guest.guest.domid == domid:
                return guest.peer()
        return Peer("xen", domid)

    def destroy(self, domid: Domid) -> None:
        for guest in self._kept:
            if guest.guest.domid == domid:
                guest.guest.destroy()

    def leaks(self) -> list[str]:
        """Event channels that Dom0's programs hold."""
        with open("/proc/interrupts", encoding="ascii") as file:
            return [line for line in file if "evtchn:python3" in line]

    def close(self) -> None:
        """The guests stay for the next test."""
