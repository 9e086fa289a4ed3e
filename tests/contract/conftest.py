"""Test beds: a Dom0 in this process, agents for guests, one bed for each platform."""

from __future__ import annotations

import select
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from backend.platform import open_platform
from backend.platform.embedded.hypervisor import EmbeddedHypervisor
from backend.platform.xen.presence import under_xen
from protocol.xenpv.ids import DOM0, Domid
from tests.contract.peer import Peer
from tests.lab.contract_bed import XenBed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.platform.platform import Platform
    from protocol.xenpv.ids import Evtchn
    from protocol.xenpv.ports import EventChannels, GrantMapper, GrantSharer, SharedPages
    from tests.contract.peer import RemotePeer
    from tests.lab.contract_bed import AgentGuest


class Bed(Protocol):
    """What a platform's bed does for the suite.  Domids are those of guests made for one test."""

    guest: Domid
    other: Domid

    def dom0(self) -> Platform:
        """Dom0, in this process."""

    def agent(self, domid: int) -> RemotePeer:
        """A new process in ``domid``."""

    def destroy(self, domid: Domid) -> None:
        """Destroy a guest, with all its processes."""

    def leaks(self) -> list[str]:
        """What is still held by anybody."""


class EmbeddedBed:
    """Two fresh guests on the embedded hypervisor."""

    def __init__(self, hypervisor: EmbeddedHypervisor, guest: int) -> None:
        self._hypervisor = hypervisor
        self.guest, self.other = Domid(guest), Domid(guest + 1)
        self._name = f"embedded:{hypervisor.rundir}"
        for domid in (self.guest, self.other):
            hypervisor.create_domain(domid)

    def dom0(self) -> Platform:
        return open_platform(self._name)

    def agent(self, domid: int) -> RemotePeer:
        return Peer(self._name, domid)

    def destroy(self, domid: Domid) -> None:
        self._hypervisor.destroy_domain(domid)

    def leaks(self) -> list[str]:
        return self._hypervisor.leaks()

    def close(self) -> None:
        for domid in (self.guest, self.other):
            if domid in self._hypervisor.domains():
                self.destroy(domid)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHypervisor]:
    with EmbeddedHypervisor.start(tmp_path_factory.mktemp("hv")) as hypervisor:
        yield hypervisor


@pytest.fixture(scope="session")
def xen_guests() -> Iterator[list[AgentGuest]]:
    """Guests of real Xen that are up; the tests share them."""
    guests: list[AgentGuest] = []
    yield guests
    for guest in guests:
        guest.guest.destroy()


@pytest.fixture(params=["xen" if under_xen() else "embedded"])
def bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    bed: EmbeddedBed | XenBed
    if request.param == "xen":
        bed = XenBed(request.getfixturevalue("xen_guests"))
    else:
        hypervisor: EmbeddedHypervisor = request.getfixturevalue("embedded")
        bed = EmbeddedBed(hypervisor, max(hypervisor.domains()) + 1)
    yield bed
    leaks = bed.leaks()
    bed.close()
    assert leaks == []


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what the tests made, before the bed looks for what is left."""
    with ExitStack() as stack:
        yield stack


class Here:
    """Dom0 in this process: its handles, closed at the end of the test."""

    def __init__(self, platform: Platform, stack: ExitStack) -> None:
        self.platform = platform
        self._stack = stack
        self.mapper: GrantMapper = platform.grant_mapper()
        self.sharer: GrantSharer = platform.grant_sharer()
        self.events: EventChannels = platform.event_channels()
        for handle in (platform, self.mapper, self.sharer, self.events):
            stack.callback(handle.close)

    def map(self, domid: int, grefs: list[int]) -> SharedPages:
        pages = self.mapper.map(Domid(domid), grefs)  # type: ignore[arg-type]
        self._stack.callback(pages.close)
        return pages

    def wait(self, seconds: float = 10) -> Evtchn | None:
        """The next pending port, waited for on the descriptor; ``None`` after ``seconds``."""
        return self.events.pending() if self.readable(seconds) else None

    def readable(self, seconds: float = 0) -> bool:
        """Whether the descriptor polls readable, now or within ``seconds``."""
        poll = select.poll()
        poll.register(self.events.fileno(), select.POLLIN)
        return bool(poll.poll(seconds * 1000))


@pytest.fixture
def here(bed: Bed, stack: ExitStack) -> Here:
    return Here(bed.dom0(), stack)


class Agents:
    """Starts agents, and ends them after the test."""

    def __init__(self, bed: Bed, stack: ExitStack) -> None:
        self._bed = bed
        self._stack = stack

    def __call__(self, domid: int = DOM0) -> RemotePeer:
        peer = self._bed.agent(domid)
        self._stack.callback(peer.close)
        return peer


@pytest.fixture
def agents(bed: Bed, stack: ExitStack) -> Agents:
    return Agents(bed, stack)


@pytest.fixture
def guest(bed: Bed, agents: Agents) -> RemotePeer:
    return agents(bed.guest)
