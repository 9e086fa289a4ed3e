"""A census counts everything below a root once, however it lies there."""

from __future__ import annotations

import os
import stat
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.census import MAX_PATH, Census, Found
from backend.fileserver.ledger import Totals

from .client import unprivileged
from .quotas import scanned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEEP = 600


def key(status: os.stat_result) -> int:
    return status.st_ino


@contextmanager
def root(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def count(
    path: Path, *held: int, keep: int = 0, stopped: Callable[[], bool] = lambda: False
) -> Found | None:
    with root(path) as fd:
        return Census(key, frozenset(held), keep, stopped).run(fd)


def test_every_kind_counts_once(export: Path) -> None:
    (export / "a/b/c").mkdir(parents=True)
    (export / "a/file").write_bytes(bytes(10_000))
    os.link(export / "a/file", export / "a/b/twin")
    os.link(export / "a/file", export / "triplet")
    (export / "link").symlink_to("x" * 200)
    os.mkfifo(export / "fifo")
    with open(export / "sparse", "wb") as sparse:
        sparse.truncate(1 << 30)
    held = os.stat(export / "a/file"), os.stat(export)
    found = count(export, *(status.st_ino for status in held), 1 << 60)
    assert found is not None
    assert Totals(found.space, found.files) == scanned(export)
    assert found.files == 7
    assert found.held == {status.st_ino: status.st_blocks for status in held}
    assert found.oldest == []


def test_the_oldest_come_first_and_no_more_than_asked_for(export: Path) -> None:
    for age in (5, 3, 9, 1, 7, *range(-40, 0)):
        path = export / f"d{age % 2}" / f"f{age}"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, ns=(0, 1000 - age))
    (export / "twin").touch()
    os.utime(export / "twin", ns=(0, 0))
    os.link(export / "twin", export / "twin2")
    found = count(export, keep=3)
    assert found is not None
    assert [(file.path, file.mtime_ns) for file in found.oldest] == [
        (b"d1/f9", 991),
        (b"d1/f7", 993),
        (b"d1/f5", 995),
    ]
    assert found.oldest[0].key == os.stat(export / "d1/f9").st_ino


@pytest.fixture
def deep(export: Path) -> Iterator[Path]:
    """The export, with ``DEEP`` directories one in the other and a file in each."""
    fd = os.open(export, os.O_RDONLY)
    for _ in range(DEEP):
        os.mkdir("d" * 100, dir_fd=fd)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    yield export
    # Such a tree is too deep for whoever removes the folder of the test.
    os.rename(export / ("d" * 100), export.parent / "deep")
    while os.path.isdir(export.parent / "deep"):
        remove_top(export.parent)


def test_a_tree_of_any_depth_needs_two_descriptors(deep: Path) -> None:
    most = 0

    def look() -> bool:
        nonlocal most
        most = max(most, len(os.listdir("/proc/self/fd")))
        return False

    before = len(os.listdir("/proc/self/fd"))
    found = count(deep, keep=DEEP, stopped=look)
    assert found is not None
    assert found.files == 2 * DEEP
    assert most <= before + 2
    # Too long a path could not be gone back to.
    assert max(len(file.path) for file in found.oldest) <= MAX_PATH < 101 * DEEP
    assert 0 < len(found.oldest) < DEEP


def test_a_directory_costs_less_memory_than_disk_however_deep_it_lies(deep: Path) -> None:
    tracemalloc.start()
    try:
        assert count(deep) is not None
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1000 * DEEP


def remove_top(folder: Path) -> None:
    inner = folder / "deep" / ("d" * 100)
    if inner.exists():
        os.rename(inner, folder / "next")
    for name in os.listdir(folder / "deep"):
        os.unlink(folder / "deep" / name)
    os.rmdir(folder / "deep")
    if (folder / "next").exists():
        os.rename(folder / "next", folder / "deep")


def test_it_stops_when_told(export: Path) -> None:
    (export / "a").mkdir()
    assert count(export, stopped=lambda: True) is None


def test_a_directory_that_moves_away_ends_it(export: Path) -> None:
    (export / "a/b").mkdir(parents=True)
    looks = iter(range(10))

    def move() -> bool:
        if next(looks) == 2:
            # It stands in b now, and comes back to where a was.
            os.rename(export / "a/b", export / "b")
        return False

    assert count(export, stopped=move) is None


def test_what_goes_away_meanwhile_is_not_counted(export: Path) -> None:
    (export / "a").mkdir()

    def remove() -> bool:
        if (export / "a").exists():
            (export / "a").rmdir()
        return False

    found = count(export, stopped=remove)
    assert found is not None
    assert found.files == 1  # as it was listed


def test_an_entry_that_goes_away_after_it_was_read_is_not_counted(export: Path) -> None:
    for number in range(3):
        (export / f"{number}").touch()

    def key_and_remove(status: os.stat_result) -> int:
        for path in export.iterdir():
            if path.stat().st_ino != status.st_ino:
                path.unlink()
        return status.st_ino

    def key_of(status: os.stat_result) -> int:
        return (key if stat.S_ISDIR(status.st_mode) else key_and_remove)(status)

    with root(export) as fd:
        found = Census(key_of, frozenset(), 0, lambda: False).run(fd)
    assert found is not None
    assert found.files == 1


@pytest.fixture
def locked(export: Path) -> Path:
    """A directory that only its owner can look into, in one that everybody can."""
    os.chmod(export, stat.S_IRWXU | stat.S_IROTH | stat.S_IXOTH)
    (export / "locked").mkdir(mode=0o700)
    (export / "locked/file").touch()
    (export / "file").touch()
    return export / "locked"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a directory that is another's")
def test_what_the_worker_cannot_look_into_is_no_use_to_the_guest_either(
    export: Path, locked: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with root(export) as fd, unprivileged():
        found = Census(key, frozenset(), 0, lambda: False).run(fd)
    assert found is not None
    assert found.files == 2
    assert "b'locked' is not counted: Permission denied" in caplog.text


def test_what_the_guest_has_locked_must_be_unlocked(export: Path, locked: Path) -> None:
    with unprivileged():
        guest = os.geteuid()
    os.chown(locked, guest, -1)
    os.chmod(locked, 0)
    with (
        root(export) as fd,
        unprivileged(),
        pytest.raises(OSError, match="cannot count b'locked': Permission denied"),
    ):
        Census(key, frozenset(), 0, lambda: False).run(fd)
