"""Directory entries of both dialects: the schema's bytes, and nothing but whole entries."""

from __future__ import annotations

from typing import Any

import pytest
from construct import ConstructError, GreedyRange, Struct, Terminated
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.ninep import fields as f
from protocol.ninep import schema
from protocol.ninep.codec import ProtocolError
from protocol.ninep.directory import (
    ENTRY_SIZE,
    decode_entries,
    decode_stats,
    encode_entry,
    encode_stat,
    retype_entries,
)
from protocol.ninep.ids import NOTAG
from protocol.ninep.messages import Dirent, Qid, Stat
from tests.protocol.ninep.strategies import kinds, to_tuple

NO_STAT = Stat(0, 0, Qid(0, 0, 0), 0, 0, 0, 0, b"", b"", b"", b"", b"", 0, 0, 0)


@settings(max_examples=60, deadline=None)
@given(entries=st.lists(kinds(f.DIRENT), max_size=4))
def test_entries_are_the_schemas(entries: list[Any]) -> None:
    ours = [to_tuple(f.DIRENT, entry) for entry in entries]
    data = b"".join(encode_entry(*entry) for entry in ours)
    assert data == b"".join(schema.DIRENT.build(entry) for entry in entries)
    assert decode_entries(data) == ours


@settings(max_examples=60, deadline=None)
@given(entries=st.lists(kinds(f.DIRENT), max_size=4), old=st.integers(0, 255))
def test_one_type_is_changed_and_nothing_else(entries: list[Any], old: int) -> None:
    ours = [to_tuple(f.DIRENT, entry) for entry in entries]
    for kind in (old, *(entry.type for entry in ours)):
        data = retype_entries(b"".join(encode_entry(*entry) for entry in ours), kind, 7)
        assert decode_entries(data) == [
            entry._replace(type=7) if entry.type == kind else entry for entry in ours
        ]


@settings(max_examples=60, deadline=None)
@given(stats=st.lists(kinds(f.STAT), max_size=3))
def test_stats_are_the_schemas(stats: list[Any]) -> None:
    ours = [to_tuple(f.STAT, stat) for stat in stats]
    data = b"".join(encode_stat(stat) for stat in ours)
    assert data == b"".join(schema.STAT.build(stat) for stat in stats)
    assert decode_stats(data) == ours


def all_of(kind: f.Record, construct: Any, data: bytes) -> list[Any] | None:
    """What interpreted construct makes of entries, None if it refuses."""
    try:
        parsed = Struct("all" / GreedyRange(construct), Terminated).parse(data)
    except ConstructError:
        return None
    return [to_tuple(kind, entry) for entry in parsed.all]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_bytes_give_whole_entries_or_the_protocol_error(data: st.DataObject) -> None:
    kind, construct, read = data.draw(
        st.sampled_from(
            [(f.DIRENT, schema.DIRENT, decode_entries), (f.STAT, schema.STAT, decode_stats)]
        )
    )
    valid = b"".join(construct.build(e) for e in data.draw(st.lists(kinds(kind), max_size=2)))
    cut = data.draw(st.integers(0, len(valid)))
    candidate = valid[:cut] + data.draw(st.binary(max_size=3)) + valid[cut + 1 :]
    expected = all_of(kind, construct, candidate)
    if expected is None:
        with pytest.raises(ProtocolError) as caught:
            read(candidate)
        assert caught.value.tag == NOTAG
    else:
        assert read(candidate) == expected


def test_known_bytes_of_an_entry() -> None:
    entry = encode_entry(Qid(0x80, 1, 2), 3, 4, b"etc")
    assert entry.hex(" ", 4) == (
        bytes.fromhex("80 01000000 0200000000000000 0300000000000000 04 0300 657463").hex(" ", 4)
    )
    assert len(entry) == ENTRY_SIZE + 3
    assert decode_entries(entry) == [Dirent(Qid(0x80, 1, 2), 3, 4, b"etc")]


@pytest.mark.parametrize(
    ("offset", "name"), [(-1, b"x"), (1 << 64, b"x"), (0, bytes(0x10000)), (0, "text"), (0, None)]
)
def test_an_entry_that_does_not_fit_is_refused(offset: int, name: Any) -> None:
    with pytest.raises(ValueError, match="directory entry cannot be packed"):
        encode_entry(Qid(0, 0, 0), offset, 8, name)


def test_a_stat_that_does_not_fit_is_refused() -> None:
    changes: list[dict[str, Any]] = [
        {"length": -1},
        {"name": bytes(0x10000)},
        {"name": bytes(0x9000), "uid": bytes(0x9000)},
        {"muid": "text"},
        {"qid": ()},
    ]
    for change in changes:
        with pytest.raises(ValueError, match="stat cannot be packed"):
            encode_stat(NO_STAT._replace(**change))


def test_a_stat_whose_size_is_wrong_is_refused() -> None:
    data = bytearray(encode_stat(NO_STAT))
    data[0] += 1
    with pytest.raises(ProtocolError, match="Stat: wrong size"):
        decode_stats(bytes(data))
