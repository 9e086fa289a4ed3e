"""9P2000.u: a worker that ends at any step of any request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from protocol.ninep import flags as f
from protocol.ninep import messages as m
from protocol.ninep.ids import NOFID, Fid, Tag
from tests.backend.fileserver.dotu_client import UNTOUCHED
from tests.backend.journal.every_point import LISTING, compare, compare_short_lives

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backend.journal.every_point import Said

TAG = Tag(1)
ROOT, FILE, OTHER, NEW, LOG, GONE = map(Fid, range(6))


def make(name: bytes, perm: int, mode: int = f.OREAD, extension: bytes = b"") -> Iterator[Said]:
    """As Linux makes anything: a fid that becomes it, and is clunked."""
    for _ in range(2):
        yield m.Twalk(TAG, ROOT, NEW, ()), b""
        yield m.Tcreate(TAG, NEW, name, perm, mode, extension), b""
        yield m.Tclunk(TAG, NEW), b""


def change(fid: Fid, **fields: Any) -> Said:
    return m.Twstat(TAG, fid, UNTOUCHED._replace(**fields)), b""


def write(fid: Fid) -> Said:
    return m.Twrite(TAG, fid, 0, 5), b"hello"


def conversation() -> Iterator[Said]:
    yield m.Tversion(Tag(0xFFFF), 8192, b"9P2000.u"), b""
    yield m.Tattach(TAG, ROOT, NOFID, b"", b"", 0), b""
    yield m.Twalk(TAG, ROOT, FILE, ()), b""
    yield m.Tcreate(TAG, FILE, b"file", 0o600, f.ORDWR, b""), b""
    yield write(FILE)
    yield from make(b"d", f.DMDIR | 0o750)
    yield from make(b"soft", f.DMSYMLINK | 0o777, f.OREAD, b"nowhere")
    yield from make(b"pipe", f.DMNAMEDPIPE | 0o640)
    yield from make(b"hard", f.DMLINK, f.OREAD, b"%d\n" % FILE)
    yield from make(b"device", f.DMDEVICE | 0o600, f.OREAD, b"c 1 3")
    yield m.Twalk(TAG, ROOT, LOG, ()), b""
    yield m.Tcreate(TAG, LOG, b"log", 0o600, f.OWRITE | f.OAPPEND, b""), b""
    yield write(LOG)
    yield write(LOG)
    yield change(FILE)
    yield m.Twalk(TAG, ROOT, OTHER, (b"file",)), b""
    yield change(OTHER, name=b"moved", mode=0o640, length=3)
    yield change(OTHER, name=b"moved")
    yield change(OTHER, name=b"d")
    yield m.Twalk(TAG, ROOT, LISTING, ()), b""
    yield m.Topen(TAG, LISTING, f.OREAD), b""
    for offset in (0, 0, 1, 152, 304, 152, 0, 304):
        yield m.Tread(TAG, LISTING, offset, 200), b""
    yield m.Twalk(TAG, ROOT, GONE, ()), b""
    yield m.Tcreate(TAG, GONE, b"gone", 0o600, f.ORDWR | f.ORCLOSE, b""), b""
    yield write(GONE)
    yield m.Tclunk(TAG, GONE), b""
    yield m.Twalk(TAG, ROOT, GONE, (b"gone",)), b""
    yield m.Tremove(TAG, OTHER), b""
    yield m.Tremove(TAG, OTHER), b""
    yield m.Tread(TAG, FILE, 0, 100), b""
    yield m.Tclunk(TAG, FILE), b""
    yield m.Tclunk(TAG, LOG), b""
    yield m.Tclunk(TAG, LISTING), b""


def test_a_worker_may_end_anywhere(export: Path) -> None:
    compare(export, "none", conversation)


@pytest.mark.parametrize("seed", [1, 2])
def test_workers_may_end_one_after_the_other(export: Path, seed: int) -> None:
    compare_short_lives(export, "none", conversation, seed)
