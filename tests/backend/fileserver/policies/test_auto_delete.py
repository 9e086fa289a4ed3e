"""The oldest file that is not open goes first, and no other."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.files import NOBODY

from ..client import refused
from ..holder import write
from ..quotas import needs_ram, quota, scanned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.fileserver.policies.quota import QuotaTree

KIB = 1024
SPACE = 256 * KIB

pytestmark = needs_ram


@pytest.fixture
def export(folder: Path) -> Path:
    return folder / "export"


@pytest.fixture
def tree(folder: Path, export: Path) -> Iterator[QuotaTree]:
    with quota(
        export, folder / "q", max_space=SPACE, max_files=8, auto_delete=True, interval=3600
    ) as tree:
        yield tree
        assert tree.ledger.totals == scanned(export)


def old(path: Path, age: int, size: int = 50 * KIB) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (0, 1_000_000 - age))


def make(tree: QuotaTree, name: bytes, size: int = 0) -> None:
    node, file = tree.create(tree.root, name, os.O_RDWR, 0o600, NOBODY)
    try:
        assert not size or write(file, bytes(size)) == size
    finally:
        file.close()
        node.release()


def names(export: Path) -> set[str]:
    return {str(path.relative_to(export)) for path in export.rglob("*") if not path.is_dir()}


def test_the_oldest_makes_room_for_space(
    tree: QuotaTree, export: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, age in enumerate((3, 9, 1, 7)):
        old(export / f"dir{number % 2}" / f"f{age}", age)
    with caplog.at_level(logging.INFO):
        make(tree, b"new", 100 * KIB)
    assert names(export) == {"dir0/f3", "dir0/f1", "dir1/f7", "new"}
    assert [r.message for r in caplog.records] == ["auto-delete: b'dir1/f9', 52 KiB"]
    make(tree, b"newer", 100 * KIB)
    assert names(export) == {"dir0/f1", "new", "newer"}


def test_the_oldest_makes_room_for_files(tree: QuotaTree, export: Path) -> None:
    for age in range(8):
        old(export / f"f{age}", age, 0)
    make(tree, b"a")
    tree.mkdir(tree.root, b"b", 0o700, NOBODY)
    assert names(export) == {*(f"f{age}" for age in range(6)), "a"}


def test_an_open_file_is_spared_whoever_has_it_open(
    tree: QuotaTree, folder: Path, export: Path
) -> None:
    for age in (9, 8, 7):
        old(export / f"f{age}", age)
    with quota(export, folder / "q", max_space=SPACE) as other:
        nine = other.lookup(other.root, b"f9")
        reader = other.open(nine, os.O_RDONLY)
        eight = tree.lookup(tree.root, b"f8")
        writer = tree.open(eight, os.O_RDWR)
        make(tree, b"new", 150 * KIB)
        assert names(export) == {"f9", "f8", "new"}
        reader.close()
        writer.close()
        nine.release()
        eight.release()


def test_of_a_file_that_a_fid_stands_for_the_space_is_freed(
    tree: QuotaTree, folder: Path, export: Path
) -> None:
    for age in (9, 8):
        old(export / f"f{age}", age, 120 * KIB)
    with quota(export, folder / "q", max_space=SPACE) as other:
        nodes = [other.lookup(other.root, b"f9"), tree.lookup(tree.root, b"f8")]
        make(tree, b"new", 200 * KIB)
        assert names(export) == {"new"}
        assert [os.fstat(node.fd).st_blocks for node in nodes] == [0, 0]
        assert tree.ledger.totals.files == 3
        for node in nodes:
            node.release()


def test_what_is_renamed_is_not_deleted_to_make_room_for_its_name(
    tree: QuotaTree, export: Path
) -> None:
    for age in (9, 8):
        old(export / f"f{age}", age, 128 * KIB)
    tree.rename(tree.root, b"f9", tree.root, b"moved")
    assert names(export) == {"moved"}


def test_what_is_linked_is_not_deleted_to_make_room_for_its_name(
    tree: QuotaTree, export: Path
) -> None:
    for age in (9, 8):
        old(export / f"f{age}", age, 128 * KIB)
    node = tree.lookup(tree.root, b"f9")
    tree.link(node, tree.root, b"twin")
    assert names(export) == {"f9", "twin"}
    assert os.fstat(node.fd).st_size == 128 * KIB
    node.release()


def test_where_files_are_short_one_that_a_fid_stands_for_is_spared(
    tree: QuotaTree, export: Path
) -> None:
    for age in range(8):
        old(export / f"f{age}", age, 0)
    node = tree.lookup(tree.root, b"f7")
    make(tree, b"new")
    assert names(export) == {*(f"f{age}" for age in (0, 1, 2, 3, 4, 5, 7)), "new"}
    node.release()


def test_what_is_not_what_was_found_is_spared(tree: QuotaTree, export: Path) -> None:
    for age in range(1, 8):
        old(export / f"f{age}", age, 30 * KIB)
    make(tree, b"new", 60 * KIB)
    assert not (export / "f7").exists()  # so the batch has been collected
    os.utime(export / "f6")
    os.link(export / "f5", export / "twin")
    (export / "f4").unlink()
    (export / "f4").symlink_to("f2")
    (export / "f3").unlink()
    (export / "f3").mkdir()
    tree._counting._join()
    make(tree, b"newer", 20 * KIB)
    make(tree, b"newest", 30 * KIB)
    assert {"f6", "f5", "twin", "f4"} <= names(export)
    assert (export / "f3").is_dir()
    assert "f2" not in names(export)
    # What Dom0 did to files that nobody held is not in the sums before the next count.
    tree._counting._start(again=True)
    tree._counting._join()


def test_the_error_comes_when_nothing_can_be_deleted(tree: QuotaTree, export: Path) -> None:
    old(export / "f", 1, 100 * KIB)
    node = tree.lookup(tree.root, b"f")
    file = tree.open(node, os.O_RDWR)
    # The file that is written is open, too.
    with refused(errno.ENOSPC):
        write(file, bytes(SPACE + KIB))
    assert write(file, bytes(SPACE)) == SPACE
    with refused(errno.ENOSPC):
        write(file, b"x", SPACE)
    file.close()
    # It is not looked for again at once.
    with refused(errno.ENOSPC):
        make(tree, b"new")
    assert names(export) == {"f"}
    node.release()


def test_one_count_serves_many_deletions(tree: QuotaTree, export: Path) -> None:
    for age in range(1, 8):
        old(export / f"f{age}", age, 0)
    tree.wait_until_counted()
    counts = []
    for number in range(7):
        make(tree, b"new%d" % number)
        counts.append(tree.room._oldest_first is not None and tree.room._oldest_first._counted_at)
    assert len(set(counts)) <= 2
    assert names(export) == {"f1", *(f"new{number}" for number in range(7))}


def test_a_file_that_may_not_be_deleted_stays(tree: QuotaTree, export: Path) -> None:
    old(export / "f9", 9, 156 * KIB)
    node, file = tree.create(tree.root, b"new", os.O_RDWR, 0o600, NOBODY)
    slots = tree.root.descriptors
    spare = slots.capacity - slots.used
    slots.take(spare)  # there is none to hold what is to be deleted
    with refused(errno.ENOSPC):
        write(file, bytes(200 * KIB))
    assert write(file, bytes(100 * KIB)) == 100 * KIB
    slots.give(spare)
    assert names(export) == {"f9", "new"}
    file.close()
    node.release()
