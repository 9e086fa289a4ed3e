"""The device's nodes: what each end writes the other reads, and rubbish is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.xenpv.device import (
    MAX_RINGS,
    BackendOffer,
    HandshakeError,
    RingOffer,
    backend_nodes,
    frontend_nodes,
    read_backend_nodes,
    read_frontend_nodes,
)
from protocol.xenpv.ids import Evtchn, Gref

OFFER = BackendOffer(max_rings=4, max_ring_page_order=9)
GOOD = {
    "version": b"1",
    "num-rings": b"2",
    "ring-ref0": b"8",
    "event-channel-0": b"5",
    "ring-ref1": b"9",
    "event-channel-1": b"6",
}


def test_what_a_frontend_writes_the_backend_reads() -> None:
    rings = [RingOffer(Gref(8), Evtchn(5)), RingOffer(Gref(0xFFFF_FFFF), Evtchn(1))]
    assert read_frontend_nodes(frontend_nodes(rings).get, OFFER) == rings


def test_what_a_backend_writes_the_frontend_reads() -> None:
    assert read_backend_nodes(backend_nodes(OFFER).get) == OFFER


def test_a_frontend_takes_no_more_than_it_can_use() -> None:
    nodes = {"versions": b"1", "max-rings": b"4000000000", "max-ring-page-order": b"12"}
    assert read_backend_nodes(nodes.get) == BackendOffer(MAX_RINGS, 9)


@pytest.mark.parametrize(
    ("node", "value", "message"),
    [
        ("version", None, "version is missing; only 1 is spoken"),
        ("version", b"2", "version is '2'; only 1 is spoken"),
        ("num-rings", None, "num-rings is missing; it must be a number from 1 to 4"),
        ("num-rings", b"0", "num-rings is '0'; it must be a number from 1 to 4"),
        ("num-rings", b"99", "num-rings is '99'; it must be a number from 1 to 4"),
        ("num-rings", b"+2", r"num-rings is '\+2'; it must be a number from 1 to 4"),
        ("num-rings", b"1_0", "num-rings is '1_0'"),
        ("num-rings", b"2" * 4000, "num-rings is '2{32}' and 3968 bytes more"),
        ("ring-ref0", b"0", "ring-ref0 is '0'; it must be a number from 1 to 4294967295"),
        ("ring-ref1", None, "ring-ref1 is missing"),
        ("ring-ref1", b"4294967296", "ring-ref1 is '4294967296'"),
        ("ring-ref1", b"8", "ring-ref0..1 name the same one twice"),
        ("event-channel-1", None, "event-channel-1 is missing"),
        ("event-channel-1", b"-1", "event-channel-1 is '-1'"),
        ("event-channel-1", b"5", "event-channel-0..1 name the same one twice"),
        ("event-channel-0", "٣".encode(), "event-channel-0 is "),
    ],
)
def test_a_wrong_node_is_named_with_its_value_and_remedy(
    node: str, value: bytes | None, message: str
) -> None:
    nodes: dict[str, bytes | None] = {**GOOD, node: value}
    with pytest.raises(HandshakeError, match=message):
        read_frontend_nodes(nodes.get, OFFER)


@pytest.mark.parametrize("versions", [None, b"", b"2", b"11"])
def test_a_backend_that_does_not_speak_version_1_is_refused(versions: bytes | None) -> None:
    nodes = {**backend_nodes(OFFER), "versions": versions}
    with pytest.raises(HandshakeError, match="it must contain 1"):
        read_backend_nodes(nodes.get)


@given(st.dictionaries(st.sampled_from([*GOOD, "ring-ref2"]), st.binary(max_size=40)))
def test_any_rubbish_gives_rings_in_range_or_the_handshake_error(nodes: dict[str, bytes]) -> None:
    refused = ""
    rings: list[RingOffer] = []
    try:
        rings = read_frontend_nodes({**GOOD, **nodes}.get, OFFER)
    except HandshakeError as error:
        refused = str(error)
    assert refused.isprintable()
    assert bool(refused) != bool(rings)
    assert all(1 <= number <= 0xFFFF_FFFF for ring in rings for number in ring)
