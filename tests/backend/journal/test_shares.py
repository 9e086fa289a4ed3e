"""What a share's policies keep outlives the worker: one that ends at any step is not noticed."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

import pytest

from backend.share import SecurityModel, Share
from protocol.ninep import flags as f
from protocol.ninep import messages as m
from protocol.ninep.ids import Fid, Tag
from tests.backend.journal.every_point import compare, compare_short_lives, mount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.backend.journal.every_point import Said

    Conversation = Callable[[], Iterator[Said]]

TAG = Tag(1)
ROOT, FILE, OTHER, LINK, LIST, LOG = map(Fid, range(6))
GID = 7


def read_only() -> Iterator[Said]:
    """Nothing changes, whatever is asked."""
    yield from mount()
    for request in (
        m.Tmkdir(TAG, ROOT, b"d", 0o750, GID),
        m.Tunlinkat(TAG, ROOT, b"old", 0),
        m.Twalk(TAG, ROOT, FILE, (b"old",)),
        m.Twalk(TAG, ROOT, OTHER, ()),
        m.Tlcreate(TAG, OTHER, b"new", os.O_RDWR, 0o600, GID),
        m.Tlcreate(TAG, OTHER, b"old", os.O_RDWR, 0o600, GID),
        m.Trenameat(TAG, ROOT, b"old", ROOT, b"new"),
        m.Tlopen(TAG, FILE, os.O_RDONLY),
        m.Tread(TAG, FILE, 0, 100),
        m.Tclunk(TAG, FILE),
    ):
        yield request, b""


def counted() -> Iterator[Said]:
    """What is left is said again and again."""
    for said in written():
        yield said
        if isinstance(said[0], m.Tattach | m.Tlcreate | m.Twrite | m.Tclunk | m.Tunlinkat):
            yield m.Tstatfs(TAG, ROOT), b""


def written() -> Iterator[Said]:
    """Files that are made, written, read again and closed; and everything is removed."""
    create, append = os.O_RDWR | f.DOTL_EXCL, os.O_WRONLY | f.DOTL_APPEND
    yield from mount()
    for request in (
        m.Tmkdir(TAG, ROOT, b"d", 0o750, GID),
        m.Twalk(TAG, ROOT, FILE, (b"d",)),
        m.Tlcreate(TAG, FILE, b"file", create, 0o4750, GID),
        m.Twrite(TAG, FILE, 3, 5),
        m.Tsymlink(TAG, ROOT, b"soft", b"nowhere/at/all", GID),
        m.Tsymlink(TAG, ROOT, b"soft", b"nowhere", GID),
        m.Tmknod(TAG, ROOT, b"pipe", stat.S_IFIFO | 0o640, 0, 0, GID),
        m.Tmknod(TAG, ROOT, b"null", stat.S_IFCHR | 0o640, 1, 3, GID),
        m.Twalk(TAG, ROOT, LINK, (b"soft",)),
        m.Treadlink(TAG, LINK),
        m.Tgetattr(TAG, LINK, f.GETATTR_BASIC),
        m.Twalk(TAG, ROOT, LIST, ()),
        m.Tlopen(TAG, LIST, os.O_RDONLY),
        m.Treaddir(TAG, LIST, 0, 4000),
        m.Tread(TAG, FILE, 0, 100),
        m.Tclunk(TAG, FILE),
        m.Twalk(TAG, ROOT, LOG, ()),
        m.Tlcreate(TAG, LOG, b"log", append, 0o600, GID),
        m.Twrite(TAG, LOG, 0, 5),
        m.Tunlinkat(TAG, ROOT, b"log", 0),
        m.Twrite(TAG, LOG, 0, 5),
        m.Tclunk(TAG, LOG),
        m.Twalk(TAG, ROOT, FILE, (b"d", b"file")),
        m.Tgetattr(TAG, FILE, f.GETATTR_BASIC),
        m.Tlopen(TAG, FILE, os.O_WRONLY),
        m.Tsetattr(TAG, FILE, f.SETATTR_SIZE | f.SETATTR_UID, 0, 9, 0, 2, 0, 0, 0, 0),
        m.Tgetattr(TAG, FILE, f.GETATTR_BASIC),
        m.Tclunk(TAG, FILE),
        m.Tunlinkat(TAG, ROOT, b"soft", 0),
        m.Tunlinkat(TAG, ROOT, b"pipe", 0),
        m.Tunlinkat(TAG, ROOT, b"null", 0),
        m.Twalk(TAG, ROOT, FILE, (b"d",)),
        m.Tunlinkat(TAG, FILE, b"file", 0),
        m.Tclunk(TAG, FILE),
        m.Tunlinkat(TAG, ROOT, b"d", f.AT_REMOVEDIR),
        m.Tclunk(TAG, LIST),
        m.Tclunk(TAG, LINK),
    ):
        yield request, b"hello" if isinstance(request, m.Twrite) else b""


def share(export: Path, policy: str) -> Share:
    path = str(export)
    if policy == "read-only":
        (export / "old").write_bytes(b"as it is")
    return {
        "read-only": Share(path=path, read_only=True),
        "fsync-on-close": Share(path=path, fsync_on_close=True),
        "quota": Share(path=path, max_space=64, max_files=1000),
        "mapped-xattr": Share(path=path, security_model=SecurityModel.MAPPED_XATTR),
        "all": Share(
            path=path,
            fsync_on_close=True,
            max_space=64,
            max_files=1000,
            security_model=SecurityModel.MAPPED_XATTR,
        ),
    }[policy]


CONVERSATIONS: Final[dict[str, Conversation]] = {"quota": counted, "all": counted}


@pytest.mark.usefixtures("user_attributes")
@pytest.mark.parametrize("walls", [pytest.param("none", marks=pytest.mark.long), "all"])
def test_read_only(export: Path, walls: str) -> None:
    compare(export, walls, read_only, share(export, "read-only"), keep=True)


@pytest.mark.long  # of all policies together it is seen below
@pytest.mark.usefixtures("user_attributes")
@pytest.mark.parametrize("policy", ["fsync-on-close", "quota", "mapped-xattr"])
def test_a_worker_may_end_anywhere(export: Path, policy: str) -> None:
    compare(export, "none", CONVERSATIONS.get(policy, written), share(export, policy))


@pytest.mark.usefixtures("user_attributes")
def test_a_worker_may_end_anywhere_within_walls_and_all_policies(export: Path) -> None:
    compare(export, "all", counted, share(export, "all"))


@pytest.mark.usefixtures("user_attributes")
@pytest.mark.parametrize("policy", ["fsync-on-close", "quota", "mapped-xattr", "all"])
@pytest.mark.parametrize("seed", [1, 2])
def test_workers_may_end_one_after_the_other(export: Path, policy: str, seed: int) -> None:
    conversation = CONVERSATIONS.get(policy, written)
    compare_short_lives(export, "none", conversation, seed, share(export, policy))
