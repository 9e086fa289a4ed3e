"""Shared pages that another process rewrites while the worker reads them.

The hostile guest may lose its own device, with a reason; its neighbour is served all the while, the
worker meets nothing that nobody foresaw, and the guest may come back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocol.ninep.codec import encode
from protocol.ninep.ids import Tag
from protocol.ninep.messages import Rgetattr, Tgetattr
from protocol.xenpv.xenbus import XenbusState

from .raw_frontend import ROOT
from .scribbler import (
    Scribbler,
    bodies,
    everything,
    headers,
    indices,
    interface,
    plausible_indices,
)

if TYPE_CHECKING:
    from tests.hostile.conftest import Neighbourhood

    from .raw_frontend import RawFrontend
    from .scribbler import Scribble

ROUNDS = 400
GETATTR = encode(Tgetattr(Tag(3), ROOT, 0x17FF))
ENDED = (XenbusState.CLOSING, XenbusState.CLOSED)


def provoke(guest: RawFrontend, ring: int) -> None:
    """A request where the worker looks for one, whatever the indices say."""
    requests = guest.rings[ring].requests
    requests.put(0, GETATTR)
    requests.advance(len(GETATTR))
    guest.notify(ring)


def comes_back(hood: Neighbourhood) -> None:
    """A good frontend of the same domain is served."""
    with hood.guest() as guest:
        guest.begin_anew().mount()
        assert isinstance(guest.call(Tgetattr(Tag(3), ROOT, 0x17FF)), Rgetattr)


@pytest.mark.parametrize(
    "scribble", [indices, plausible_indices, headers, bodies, interface, everything]
)
def test_scribbling_while_requests_are_served(hood: Neighbourhood, scribble: Scribble) -> None:
    with hood.guest() as guest:
        guest.mount()
        with Scribbler(guest, scribble):
            for number in range(ROUNDS):
                provoke(guest, number % 2)
                if number % 20 == 0:
                    assert hood.neighbour_is_served()
        if guest.backend_state() in ENDED:
            assert guest.error()
    assert hood.neighbour_is_served()
    assert "unforeseen" not in hood.bed.log.read_text()
    comes_back(hood)


@pytest.mark.parametrize("scribble", [indices, interface, everything])
def test_scribbling_during_the_handshake(hood: Neighbourhood, scribble: Scribble) -> None:
    with hood.guest() as guest:
        guest.await_state(XenbusState.INIT_WAIT)
        with Scribbler(guest, scribble):
            guest.publish()
            guest.await_state(XenbusState.CONNECTED, *ENDED)
            assert hood.neighbour_is_served()
        assert guest.backend_state() is XenbusState.CONNECTED or guest.error()
    assert "unforeseen" not in hood.bed.log.read_text()
    comes_back(hood)
