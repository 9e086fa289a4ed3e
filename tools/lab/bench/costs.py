"""In Dom0: what a backend takes before its first request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tools.lab.bench.memory import StateTimes, memory
from tools.lab.bench.peers import HotPlugged

if TYPE_CHECKING:
    from tests.lab.guests import Guest
    from tools.lab.bench.peers import Peer
    from tools.lab.bench.results import Cost

DEVICES: Final = 5
"""Devices that a guest is given where it can be given any, to see what one more takes."""


def cost(guest: Guest, peer: Peer, times: list[StateTimes]) -> Cost:
    """Of a guest that has one device of this backend and has asked nothing of it yet.

    It may get more devices; ``times`` are those of the first.
    """
    own, shared = peer.processes(guest), peer.shared_processes()
    one, common = memory(own), memory(shared).pss
    together = memory([*own, *shared]).pss
    next_device = None
    if isinstance(peer, HotPlugged):
        for number in range(1, DEVICES):
            with StateTimes(peer.backend_class) as watch:
                peer.attach(guest, f"more{number}")
            times = [*times, watch]
        many = memory([*peer.processes(guest), *shared]).pss
        next_device = (many - together) // (DEVICES - 1)
    return {
        "to_offer": [watch.to_offer() for watch in times],
        "to_connect": [watch.to_connect() for watch in times],
        "pss": one.pss if own else None,
        "rss": one.rss if own else None,
        "shared": common,
        "next_device": next_device,
    }
