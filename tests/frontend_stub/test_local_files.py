"""This side's files: whole under their name, or not there at all."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from frontend_stub.local_files import is_regular, named, source, target, write_all

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("leak_free")


def test_a_file_appears_under_its_name_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with target(str(path)) as descriptor:
        write_all(descriptor, memoryview(b"new"))
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_a_failure_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space"), target(str(path)) as descriptor:
        _half(descriptor, full)
    os.close(full)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def _half(descriptor: int, full: int) -> None:
    write_all(descriptor, memoryview(b"half"))
    write_all(full, memoryview(b"the other half"))


def test_permissions_are_kept_or_as_umask_has_them(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"")
    (tmp_path / "old").chmod(0o640)
    mask = os.umask(0o027)
    try:
        for name in ("old", "new"):
            with target(str(tmp_path / name)):
                pass
    finally:
        os.umask(mask)
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    with target(str(tmp_path / "link")) as descriptor:
        write_all(descriptor, memoryview(b"new"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_fifo_is_written_to_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    with target(str(path)) as descriptor:
        assert not is_regular(descriptor)
        write_all(descriptor, memoryview(b"data"))
    reader.join()
    assert got == [b"data"]
    assert path.is_fifo()


def test_a_name_of_full_length_has_room_for_a_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    with target(str(path)) as descriptor:
        write_all(descriptor, memoryview(b"x"))
    assert path.read_bytes() == b"x"


def test_no_such_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), target(str(tmp_path / "none" / "file")):
        pass


def test_a_directory_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught, source(str(tmp_path)):
        pass
    assert caught.value.filename == str(tmp_path)


def test_source_reads(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    with source(str(tmp_path / "file")) as descriptor:
        assert is_regular(descriptor)
        assert os.read(descriptor, 10) == b"data"


def test_standard_streams_are_not_closed() -> None:
    with source("-") as descriptor:
        assert descriptor == 0
    with target("-") as descriptor:
        assert descriptor == 1
    os.fstat(1)


def test_failures_get_a_name_unless_they_have_one() -> None:
    with pytest.raises(OSError, match=r".") as caught, named("here"):
        raise OSError(errno.ENOSPC, "full")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "here")
    with pytest.raises(OSError, match=r".") as other, named("here"):
        raise OSError(errno.EIO, "bad", "there")
    assert other.value.filename == "there"
    with pytest.raises(BrokenPipeError) as broken, named("here"):
        raise BrokenPipeError(errno.EPIPE, "gone")
    assert broken.value.filename is None
