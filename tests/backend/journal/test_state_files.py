"""``commit=atomic``, named files: whichever step a worker ends at, a file appears whole, once."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

from backend.share import Commit, NamedFile, Share
from protocol.ninep import flags as f
from protocol.ninep import messages as m
from protocol.ninep.ids import Fid, Tag
from tests.backend.journal.every_point import compare, compare_short_lives, mount

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backend.journal.every_point import Said

TAG = Tag(1)
ROOT, FILE, OTHER, LIST, DIR = map(Fid, range(5))
NEW, APPEND = os.O_RDWR | f.DOTL_EXCL, os.O_WRONLY | f.DOTL_APPEND | f.DOTL_EXCL
SIZE = f.SETATTR_SIZE
GID = 0


def say(*requests: m.Message) -> Iterator[Said]:
    for request in requests:
        yield request, b"hello" if isinstance(request, m.Twrite) else b""


def write(fid: Fid, offset: int = 0) -> m.Message:
    return m.Twrite(TAG, fid, offset, 5)


def create(fid: Fid, name: bytes, flags: int = NEW) -> tuple[m.Message, ...]:
    return m.Twalk(TAG, ROOT, fid, ()), m.Tlcreate(TAG, fid, name, flags, 0o640, GID)


def truncate(fid: Fid) -> m.Message:
    return m.Tsetattr(TAG, fid, SIZE, 0, 0, 0, 0, 0, 0, 0, 0)


def listing() -> tuple[m.Message, ...]:
    return (
        m.Twalk(TAG, ROOT, LIST, ()),
        m.Tlopen(TAG, LIST, os.O_RDONLY),
        m.Treaddir(TAG, LIST, 0, 4000),
        m.Tclunk(TAG, LIST),
    )


def new_files(export: Path) -> Iterator[Said]:
    """Made, written by one fid or two, renamed, removed, closed."""
    yield from mount()
    yield from say(*create(FILE, b"new"), write(FILE), write(FILE, 5), *listing())
    yield from say(*create(OTHER, b"new"), m.Tgetattr(TAG, FILE, f.GETATTR_BASIC))
    yield from say(m.Tlopen(TAG, OTHER, os.O_RDWR), m.Tclunk(TAG, OTHER))
    assert not (export / "new").exists()
    yield from say(m.Tread(TAG, FILE, 0, 100), m.Tfsync(TAG, FILE, 0), m.Tclunk(TAG, FILE))
    assert (export / "new").read_bytes() == b"hellohello"
    yield from say(*create(FILE, b"log", APPEND), write(FILE), write(FILE))
    yield from say(m.Twalk(TAG, ROOT, OTHER, (b"log",)), m.Tlopen(TAG, OTHER, os.O_WRONLY))
    yield from say(m.Tclunk(TAG, FILE), write(OTHER, 10))
    assert not (export / "log").exists()
    yield from say(m.Trenameat(TAG, ROOT, b"log", ROOT, b"moved"), m.Tclunk(TAG, OTHER))
    assert (export / "moved").read_bytes() == b"hellohellohello"
    yield from say(*create(FILE, b"gone"), write(FILE), m.Tunlinkat(TAG, ROOT, b"gone", 0))
    yield from say(write(FILE, 5), m.Tunlinkat(TAG, ROOT, b"gone", 0), m.Tclunk(TAG, FILE))
    assert sorted(os.listdir(export)) == ["moved", "new"]
    # Another file is put in its place, and it in another's.
    yield from say(*create(FILE, b"one"), write(FILE), m.Trenameat(TAG, ROOT, b"new", ROOT, b"one"))
    yield from say(m.Tclunk(TAG, FILE), *create(FILE, b"two"), write(FILE))
    yield from say(m.Trenameat(TAG, ROOT, b"two", ROOT, b"one"), m.Tclunk(TAG, FILE), *listing())
    assert (export / "one").read_bytes() == b"hello"
    yield from say(*create(FILE, b"empty", os.O_RDONLY), m.Tclunk(TAG, FILE))
    yield from say(m.Tmkdir(TAG, ROOT, b"d", 0o755, GID), m.Twalk(TAG, ROOT, DIR, (b"d",)))
    yield from say(m.Twalk(TAG, DIR, FILE, ()), m.Tlcreate(TAG, FILE, b"in", NEW, 0o600, GID))
    yield from say(m.Tunlinkat(TAG, ROOT, b"d", f.AT_REMOVEDIR), m.Tclunk(TAG, FILE))


def old_files(export: Path) -> Iterator[Said]:
    """Written anew, or in place."""
    (export / "old").write_bytes(b"as it was")
    yield from mount()
    yield from say(m.Twalk(TAG, ROOT, FILE, (b"old",)), m.Twalk(TAG, FILE, OTHER, ()))
    yield from say(m.Tlopen(TAG, FILE, os.O_RDWR), truncate(FILE), write(FILE))
    yield from say(m.Tgetattr(TAG, OTHER, f.GETATTR_BASIC), *listing())
    assert (export / "old").read_bytes() == b"as it was"
    yield from say(m.Tclunk(TAG, FILE), m.Tgetattr(TAG, OTHER, f.GETATTR_BASIC))
    assert (export / "old").read_bytes() == b"hello"
    # Touched, so it is changed in place.
    yield from say(m.Tlopen(TAG, OTHER, os.O_RDWR), write(OTHER, 3), truncate(OTHER))
    assert (export / "old").read_bytes() == b""
    yield from say(write(OTHER, 1), m.Tclunk(TAG, OTHER))
    yield from say(m.Twalk(TAG, ROOT, FILE, (b"old",)))
    yield from say(m.Tlopen(TAG, FILE, os.O_WRONLY | f.DOTL_TRUNC), write(FILE))
    yield from say(m.Trenameat(TAG, ROOT, b"old", ROOT, b"renamed"))
    assert (export / "renamed").read_bytes() == b"\0hello"
    yield from say(m.Tclunk(TAG, FILE), m.Twalk(TAG, ROOT, FILE, (b"renamed",)))
    assert (export / "renamed").read_bytes() == b"hello"
    # Never complete: the old one is back.
    yield from say(m.Tlopen(TAG, FILE, os.O_RDWR), truncate(FILE), *mount_again())
    assert (export / "renamed").read_bytes() == b"hello"
    # Truncated after it was moved.
    yield from say(m.Twalk(TAG, ROOT, FILE, (b"renamed",)), m.Twalk(TAG, FILE, OTHER, ()))
    yield from say(m.Tlopen(TAG, FILE, os.O_RDWR), m.Trename(TAG, OTHER, ROOT, b"old"))
    yield from say(truncate(FILE), write(FILE))
    assert (export / "old").read_bytes() == b"hello"
    yield from say(m.Tunlinkat(TAG, ROOT, b"old", 0))
    assert not (export / "old").exists()
    yield from say(m.Tclunk(TAG, FILE), *listing(), m.Tclunk(TAG, OTHER))


def mount_again() -> Iterator[m.Message]:
    return (request for request, _ in mount())


def atomic(export: Path, **others: bool | int) -> Share:
    return Share(path=str(export), commit=Commit.ATOMIC, **others)  # type: ignore[arg-type]


CONVERSATIONS = pytest.mark.parametrize("conversation", [new_files, old_files])


@pytest.mark.long
@CONVERSATIONS
def test_a_worker_may_end_anywhere(export: Path, conversation: partial[Iterator[Said]]) -> None:
    compare(export, "none", partial(conversation, export), atomic(export))


@CONVERSATIONS
def test_within_walls_and_other_policies(
    export: Path, conversation: partial[Iterator[Said]]
) -> None:
    share = atomic(export, fsync_on_close=True, max_space=64)
    compare(export, "all", partial(conversation, export), share)


@CONVERSATIONS
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_workers_may_end_one_after_the_other(
    export: Path, conversation: partial[Iterator[Said]], seed: int
) -> None:
    compare_short_lives(export, "none", partial(conversation, export), seed, atomic(export))


def state(export: Path) -> Share:
    save, resume = str(export / "qemu-save"), str(export / "qemu-resume")
    files = (NamedFile("save", save, writable=True), NamedFile("restore", resume, writable=False))
    return Share(files=files, commit=Commit.ATOMIC)


def saves(export: Path) -> Iterator[Said]:
    """What a stub domain does, and what it may not."""
    (export / "qemu-resume").write_bytes(b"as it was saved")
    (export / "others").write_bytes(b"no business of the guest's")
    yield from mount()
    for _ in range(2):
        yield from say(m.Tunlinkat(TAG, ROOT, b"save", 0))
        yield from say(*create(FILE, b"save"), write(FILE), *listing(), write(FILE, 5))
        assert not (export / "qemu-save").exists()
        yield from say(m.Tclunk(TAG, FILE), *listing())
        assert (export / "qemu-save").read_bytes() == b"hellohello"
    yield from say(m.Twalk(TAG, ROOT, FILE, (b"save",)), m.Twalk(TAG, FILE, OTHER, ()))
    yield from say(m.Tlopen(TAG, FILE, os.O_RDWR), truncate(FILE), write(FILE))
    yield from say(m.Tgetattr(TAG, OTHER, f.GETATTR_BASIC))
    assert (export / "qemu-save").read_bytes() == b"hellohello"
    yield from say(m.Tclunk(TAG, FILE), m.Tremove(TAG, OTHER), m.Tremove(TAG, OTHER))
    assert not (export / "qemu-save").exists()
    yield from say(m.Twalk(TAG, ROOT, FILE, (b"restore",)), m.Twalk(TAG, FILE, OTHER, ()))
    yield from say(m.Tlopen(TAG, FILE, os.O_RDONLY), m.Tread(TAG, FILE, 0, 100))
    yield from say(m.Tlopen(TAG, OTHER, os.O_RDWR), truncate(OTHER))
    yield from say(m.Tunlinkat(TAG, ROOT, b"restore", 0), m.Tmkdir(TAG, ROOT, b"d", 0o755, GID))
    yield from say(m.Trenameat(TAG, ROOT, b"restore", ROOT, b"save"), m.Tclunk(TAG, FILE))
    yield from say(*create(FILE, b"others"), m.Tclunk(TAG, FILE), m.Tclunk(TAG, OTHER))


def test_a_state_share(export: Path) -> None:
    compare(export, "all", partial(saves, export), state(export))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_state_share_whose_workers_end_one_after_the_other(export: Path, seed: int) -> None:
    compare_short_lives(export, "none", partial(saves, export), seed, state(export))
