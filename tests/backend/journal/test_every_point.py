"""A worker that ends at any step of any request: the answers and the tree are as if it had not."""

from __future__ import annotations

import os
import random
import stat
from typing import TYPE_CHECKING

import pytest

from protocol.ninep import flags as f
from protocol.ninep import messages as m
from protocol.ninep.ids import NOFID, Fid, Tag
from tests.backend.journal.every_point import compare, compare_short_lives

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backend.journal.every_point import Said

TAG = Tag(1)
ROOT, DIR, FILE, OTHER, LOG, LIST = map(Fid, range(6))
GID = 0
NO_TIMES = (0, 0, 0, 0)


def conversation() -> Iterator[Said]:
    """Every request that changes something, and what shows what it did."""
    create, append = os.O_RDWR | f.DOTL_EXCL, os.O_WRONLY | f.DOTL_APPEND
    for request in (
        m.Tversion(Tag(0xFFFF), 8192, b"9P2000.L"),
        m.Tattach(TAG, ROOT, NOFID, b"", b"", 0),
        m.Tmkdir(TAG, ROOT, b"d", 0o750, GID),
        m.Tmkdir(TAG, ROOT, b"d", 0o750, GID),
        m.Twalk(TAG, ROOT, DIR, (b"d",)),
        m.Twalk(TAG, ROOT, FILE, ()),
        m.Tlcreate(TAG, FILE, b"file", create, 0o600, GID),
        m.Twalk(TAG, ROOT, OTHER, ()),
        m.Tlcreate(TAG, OTHER, b"file", create, 0o600, GID),
        m.Twrite(TAG, FILE, 3, 5),
        m.Tread(TAG, FILE, 0, 100),
        m.Tfsync(TAG, FILE, 0),
        m.Tfsync(TAG, OTHER, 0),
        m.Tflush(TAG, Tag(7)),
        m.Tsymlink(TAG, DIR, b"soft", b"nowhere", GID),
        m.Tsymlink(TAG, DIR, b"soft", b"elsewhere", GID),
        m.Tmknod(TAG, DIR, b"pipe", stat.S_IFIFO | 0o640, 0, 0, GID),
        m.Tmknod(TAG, DIR, b"pipe", stat.S_IFIFO | 0o640, 0, 0, GID),
        m.Tlink(TAG, DIR, FILE, b"hard"),
        m.Tlink(TAG, DIR, FILE, b"hard"),
        m.Twalk(TAG, ROOT, LOG, ()),
        m.Tlcreate(TAG, LOG, b"log", append, 0o644, GID),
        m.Twrite(TAG, LOG, 0, 5),
        m.Twrite(TAG, LOG, 0, 5),
        m.Twalk(TAG, OTHER, OTHER, (b"file",)),
        m.Trename(TAG, OTHER, DIR, b"moved"),
        m.Trename(TAG, OTHER, DIR, b"again"),
        m.Trenameat(TAG, DIR, b"again", ROOT, b"file"),
        m.Trenameat(TAG, DIR, b"again", ROOT, b"file"),
        m.Tsetattr(TAG, FILE, f.SETATTR_SIZE | f.SETATTR_MODE, 0o640, 0, 0, 2, *NO_TIMES),
        m.Tunlinkat(TAG, ROOT, b"log", 0),
        m.Tunlinkat(TAG, ROOT, b"log", 0),
        m.Twrite(TAG, LOG, 0, 5),
        m.Tgetattr(TAG, LOG, f.GETATTR_BASIC),
        m.Twalk(TAG, ROOT, LIST, ()),
        m.Tlopen(TAG, LIST, os.O_RDONLY),
        m.Treaddir(TAG, LIST, 0, 4000),
        m.Tclunk(TAG, LIST),
        m.Tremove(TAG, OTHER),
        m.Tremove(TAG, OTHER),
        m.Tgetattr(TAG, FILE, f.GETATTR_BASIC),
        m.Tunlinkat(TAG, DIR, b"pipe", 0),
        m.Tmkdir(TAG, DIR, b"sub", 0o755, GID),
        m.Tunlinkat(TAG, DIR, b"sub", f.AT_REMOVEDIR),
        m.Tunlinkat(TAG, DIR, b"sub", f.AT_REMOVEDIR),
        m.Tclunk(TAG, LOG),
        m.Tclunk(TAG, FILE),
        m.Tclunk(TAG, FILE),
    ):
        yield request, b"hello" if isinstance(request, m.Twrite) else b""


@pytest.mark.parametrize("walls", [pytest.param("none", marks=pytest.mark.long), "all"])
def test_a_worker_may_end_anywhere(export: Path, walls: str) -> None:
    compare(export, walls, conversation)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_workers_may_end_one_after_the_other(export: Path, seed: int) -> None:
    compare_short_lives(export, "none", conversation, seed)


def churn() -> Iterator[Said]:
    """Fids that come and go in any order, so that what is written down of them lies scattered."""
    dice, walked = random.Random(1), set[Fid]()
    yield m.Tversion(Tag(0xFFFF), 8192, b"9P2000.L"), b""
    yield m.Tattach(TAG, ROOT, NOFID, b"", b"", 0), b""
    yield m.Tmkdir(TAG, ROOT, b"d", 0o750, GID), b""
    for _ in range(150):
        fid = Fid(dice.randrange(10, 22))
        yield (m.Tclunk(TAG, fid) if fid in walked else m.Twalk(TAG, ROOT, fid, (b"d",))), b""
        walked ^= {fid}


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_what_was_written_and_never_committed_does_not_come_back(export: Path, seed: int) -> None:
    compare_short_lives(export, "none", churn, seed)
