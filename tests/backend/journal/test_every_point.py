"""A worker that ends at any step of any request: the answers and the tree are as if it had not."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest

from protocol.ninep import flags as f
from protocol.ninep import messages as m
from protocol.ninep.ids import NOFID, Fid, Tag
from tests.backend.journal.conftest import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backend.journal.conftest import Served

TAG = Tag(1)
ROOT, DIR, FILE, OTHER, LOG, LIST = map(Fid, range(6))
GID = 0
NO_TIMES = (0, 0, 0, 0)


def conversation() -> Iterator[tuple[m.Message, bytes]]:
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


def held(guest: Served) -> list[Any]:
    """All answers, but for numbers and times that no two runs have in common."""
    answers: list[Any] = []
    for request, data in conversation():
        reply, beside = guest.ask(request, data)
        if isinstance(reply, m.Rgetattr):
            answers.append((reply.mode, reply.nlink, reply.size))
        elif isinstance(reply, m.Rreaddir):
            answers.append(len(beside))
        elif isinstance(reply, m.Rread):
            answers.append((reply, beside))
        else:
            fields = reply._asdict()
            fields.pop("qid", None)
            fields["wqids"] = len(fields.get("wqids", ()))
            answers.append((type(reply).__name__, fields))
    return answers


def found(top: Path) -> dict[str, Any]:
    """What is there."""
    tree = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content = path.readlink() if path.is_symlink() else b""
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
        tree[str(path.relative_to(top))] = (status.st_mode, status.st_nlink, content)
    return tree


def clear(top: Path) -> None:
    for path in top.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@pytest.mark.parametrize("walls", ["none", "all"])
def test_a_worker_may_end_anywhere(export: Path, walls: str) -> None:
    with served(export, walls) as guest:
        answers, tree = held(guest), found(export)
        steps = guest.words[0]
        assert tree
        for step in range(1, steps + 1):
            clear(export)
            guest.words[0], guest.words[1] = 0, step
            assert held(guest) == answers, step
            assert guest.words[1] == 0, "no worker ended"
            assert found(export) == tree, step
    assert steps > 4 * len(answers)
