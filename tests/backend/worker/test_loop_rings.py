"""Two rings: one event each, whichever is pending first."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from backend.platform.embedded.hypervisor import EmbeddedHypervisor
from backend.worker.control import ControlChannel, pair
from backend.worker.loop import ServiceLoop
from backend.worker.supervision import Supervision
from protocol.ninep.codec import encode
from protocol.ninep.flags import GETATTR_BASIC
from protocol.ninep.ids import Tag
from protocol.ninep.messages import Rgetattr, Tgetattr
from protocol.xenpv.ids import DOM0, Domid
from tests.backend.fileserver.ring_peer import ROOT_FID, RingPeer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOMID = Domid(5)
REQUEST = encode(Tgetattr(Tag(1), ROOT_FID, GETATTR_BASIC))


class Device:
    """A loop over real rings and event channels, one step at a time, and the guest's ends."""

    def __init__(self, tmp_path: Path, stack: ExitStack) -> None:
        hypervisor = stack.enter_context(EmbeddedHypervisor.start(tmp_path / "hv"))
        hypervisor.create_domain(DOMID)
        self.theirs = stack.enter_context(closing(hypervisor.platform(DOMID).event_channels()))
        ours = stack.enter_context(closing(hypervisor.platform().event_channels()))
        self.ports = [self.theirs.alloc_unbound(DOM0) for _ in range(2)]
        bound = [ours.bind_interdomain(DOMID, port) for port in self.ports]
        self.peer = stack.enter_context(closing(RingPeer(tmp_path)))
        self.peer.mount()
        near, far = pair()
        stack.enter_context(far)
        supervision = stack.enter_context(closing(Supervision(ControlChannel(near))))
        ports = {port: lane for lane, port in enumerate(bound)}
        self.loop = ServiceLoop(self.peer.connection, ours, ports, supervision)
        for _ in bound:
            self.turn()  # a port is pending when it is bound

    def ask(self, lane: int = 0) -> None:
        self.peer.put(REQUEST, lane)
        self.theirs.notify(self.ports[lane])

    def turn(self) -> None:
        self.loop._take_events()
        self.loop._serve()

    def answers(self, lane: int = 0) -> int:
        found = 0
        while (answer := self.peer.take(lane)) is not None:
            assert isinstance(answer[0], Rgetattr)
            found += 1
        return found


@pytest.fixture
def device(leak_free: None, tmp_path: Path) -> Iterator[Device]:
    with ExitStack() as stack:
        yield Device(tmp_path, stack)


def test_events_of_both_rings_are_taken_one_after_the_other(device: Device) -> None:
    device.ask(0)
    device.ask(1)
    device.turn()
    assert [device.answers(0), device.answers(1)] in ([1, 0], [0, 1])
    device.turn()
    assert device.answers(0) + device.answers(1) == 1
