"""Fids that stand for extended attributes outlive the worker, whatever has come of them so far."""

from __future__ import annotations

import os
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
ROOT, FILE, VALUE, OTHER, LIST = map(Fid, range(5))
NAME, NEXT = b"user.one", b"user.two"


def put(fid: Fid, name: bytes, value: bytes, flags: int) -> Iterator[Said]:
    """Set an attribute as Linux does it, in pieces of up to five bytes."""
    yield m.Twalk(TAG, FILE, fid, ()), b""
    yield m.Txattrcreate(TAG, fid, name, len(value), flags), b""
    for at in range(0, len(value), 5):
        piece = value[at : at + 5]
        yield m.Twrite(TAG, fid, at, len(piece)), piece
    yield m.Tclunk(TAG, fid), b""


def conversation() -> Iterator[Said]:
    create = os.O_RDWR | f.DOTL_EXCL
    yield m.Tversion(Tag(0xFFFF), 8192, b"9P2000.L"), b""
    yield m.Tattach(TAG, ROOT, NOFID, b"", b"", 0), b""
    yield m.Twalk(TAG, ROOT, FILE, ()), b""
    yield m.Tlcreate(TAG, FILE, b"file", create, 0o600, 0), b""
    yield from put(VALUE, NAME, b"some value", f.XATTR_CREATE)
    yield from put(VALUE, NAME, b"another", f.XATTR_CREATE)
    yield m.Txattrwalk(TAG, FILE, OTHER, NAME), b""
    yield from put(VALUE, NAME, b"changed", f.XATTR_REPLACE)
    yield m.Tread(TAG, OTHER, 0, 100), b""
    yield m.Txattrwalk(TAG, FILE, LIST, b""), b""
    yield from put(VALUE, NEXT, b"second", 0)
    yield m.Tread(TAG, LIST, 0, 100), b""
    yield from put(VALUE, NAME, b"", f.XATTR_REPLACE)
    yield from put(VALUE, NAME, b"", f.XATTR_REPLACE)
    yield m.Txattrwalk(TAG, FILE, VALUE, NAME), b""
    yield m.Tclunk(TAG, OTHER), b""
    yield m.Tclunk(TAG, LIST), b""
    # One that is never complete.
    yield m.Twalk(TAG, FILE, VALUE, ()), b""
    yield m.Txattrcreate(TAG, VALUE, NAME, 10, 0), b""
    yield m.Twrite(TAG, VALUE, 0, 4), b"half"
    yield m.Tclunk(TAG, VALUE), b""
    yield m.Tclunk(TAG, FILE), b""


@pytest.mark.usefixtures("user_attributes")
def test_a_worker_may_end_anywhere(export: Path) -> None:
    compare(export, "none", conversation)


@pytest.mark.usefixtures("user_attributes")
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_workers_may_end_one_after_the_other(export: Path, seed: int) -> None:
    compare_short_lives(export, "none", conversation, seed)
