"""The offer of a handover: what is packed is found, and anything else is refused in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.journal.layout import VERSION
from backend.worker.handover import FORMAT, HandoverError, Offer, pack, unpack
from backend.worker.rings import KnownRing
from protocol.xenpv.ids import Evtchn, Gref
from protocol.xenpv.ports import OpenChannels

RINGS = (
    KnownRing(0, 1, Evtchn(7), (Gref(1), Gref(2), Gref(3))),
    KnownRing(1, 2, Evtchn(8), tuple(map(Gref, range(10, 15)))),
)
CHANNELS = OpenChannels((5, 9), (Evtchn(7), Evtchn(8)))
OFFER = Offer(VERSION, 2, 1000, RINGS, CHANNELS, 12, (12, 13), (14,))


def test_an_offer_is_found_as_it_was_packed() -> None:
    assert unpack(pack(OFFER)) == OFFER


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(("format", *Offer._fields)), VALUES))
def test_any_field_may_be_anything(fields: dict[str, Any]) -> None:
    packet = json.dumps(json.loads(pack(OFFER)) | fields).encode()
    try:
        offer = unpack(packet)
    except HandoverError:
        return
    assert (offer.journal, offer.lanes) == (VERSION, len(offer.rings))
    assert json.loads(pack(offer))["format"] == FORMAT


@given(st.binary(max_size=20) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_anything_may_come_in_its_place(packet: bytes) -> None:
    with pytest.raises(HandoverError, match="what the old worker says is no offer"):
        unpack(packet)


def test_nested_beyond_reason() -> None:
    with pytest.raises(HandoverError):
        unpack(b"[" * 100_000)
