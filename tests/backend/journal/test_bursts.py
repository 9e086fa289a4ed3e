"""Many requests at once: what only looks is committed together, the rest by itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.grouped_lane import GROUP
from protocol.ninep import flags as f
from protocol.ninep import messages as m
from protocol.ninep.ids import NOFID, Fid, Tag
from tests.backend.journal.conftest import served
from tests.backend.journal.every_point import (
    compare,
    compare_short_lives,
    held,
    held_at_once,
    mount,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backend.journal.every_point import Said

ROOT, FILE, LOG, LIST = map(Fid, range(4))


def numbered(*requests: m.Message) -> list[Said]:
    """A burst: each on a tag of its own, and with data if it writes."""
    return [
        (request._replace(tag=Tag(tag)), b"hello" if isinstance(request, m.Twrite) else b"")
        for tag, request in enumerate(requests)
    ]


def bursts() -> Iterator[list[Said]]:
    """Looks and writes, with what must not be done twice between them."""
    tag, create = Tag(0), os.O_RDWR | f.DOTL_EXCL
    yield numbered(m.Tversion(tag, 8192, b"9P2000.L"))
    yield numbered(
        m.Tattach(tag, ROOT, NOFID, b"", b"", 0),
        m.Twalk(tag, ROOT, FILE, ()),
        m.Tlcreate(tag, FILE, b"file", create, 0o600, 0),
        m.Tgetattr(tag, FILE, f.GETATTR_BASIC),
        m.Tgetattr(tag, ROOT, f.GETATTR_BASIC),
        m.Twalk(tag, ROOT, LOG, ()),
        m.Tlcreate(tag, LOG, b"log", create | f.DOTL_APPEND, 0o600, 0),
    )
    looks = (
        m.Tread(tag, FILE, 0, 100),
        m.Tgetattr(tag, ROOT, f.GETATTR_BASIC),
        m.Treadlink(tag, FILE),
        m.Tread(tag, LOG, 0, 100),
    )
    yield numbered(
        *looks,
        m.Twrite(tag, LOG, 0, 5),
        m.Tread(tag, LOG, 0, 100),
        m.Tgetattr(tag, LOG, f.GETATTR_BASIC),
        m.Twrite(tag, FILE, 100, 5),
        m.Twrite(tag, FILE, 200, 5),
        m.Tmkdir(tag, ROOT, b"d", 0o755, 0),
        *looks,
        m.Tmkdir(tag, ROOT, b"d", 0o755, 0),
        m.Twalk(tag, ROOT, LIST, ()),
        m.Tlopen(tag, LIST, os.O_RDONLY),
        *looks,
        m.Treaddir(tag, LIST, 0, 4000),
        m.Tsetattr(tag, FILE, f.SETATTR_SIZE, 0, 0, 0, 150, 0, 0, 0, 0),
        m.Tgetattr(tag, FILE, f.GETATTR_BASIC),
        m.Tunlinkat(tag, ROOT, b"file", 0),
        m.Tgetattr(tag, FILE, f.GETATTR_BASIC),
        *looks,
        m.Tclunk(tag, LIST),
        m.Tgetattr(tag, LIST, f.GETATTR_BASIC),
        m.Tfsync(tag, LOG, 0),
    )
    yield numbered(*looks, m.Tclunk(tag, FILE), *looks, m.Tclunk(tag, LOG), *looks)


@pytest.mark.parametrize("walls", [pytest.param("none", marks=pytest.mark.long), "all"])
def test_a_worker_may_end_anywhere_in_a_burst(export: Path, walls: str) -> None:
    compare(export, walls, bursts, hold=held_at_once)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_workers_may_end_one_after_the_other_in_bursts(export: Path, seed: int) -> None:
    compare_short_lives(export, "none", bursts, seed, hold=held_at_once)


def test_looks_are_committed_together(export: Path) -> None:
    getattr_, many = m.Tgetattr(Tag(0), ROOT, f.GETATTR_BASIC), 5 * GROUP
    with served(export, "none") as guest:
        held(guest, mount())
        before = guest.words[0]
        held_at_once(guest, [numbered(*[getattr_] * many)])
        # A reply each, and around each commit: answered, written, committed, published, consumed.
        assert guest.words[0] - before == many + many // GROUP * 5


def test_only_the_request_that_ends_workers_is_refused(export: Path) -> None:
    """It stands behind others that were in the dead worker's hand, too."""
    getattr_ = m.Tgetattr(Tag(0), ROOT, f.GETATTR_BASIC)
    mkdir = m.Tmkdir(Tag(0), ROOT, b"d", 0o755, 0)
    with served(export, "none") as guest:
        held(guest, mount())
        guest.words[2] = 1
        *looks, refused, last = held_at_once(
            guest, [numbered(*[getattr_] * 5, mkdir, m.Tclunk(Tag(0), ROOT))]
        )
        assert len({type(look) for look in looks}) == 1
        assert refused[0] == "Rlerror"
        assert last[0] == "Rclunk"
