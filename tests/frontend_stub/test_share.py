"""Names, directories and attributes against diod, a 9P2000.L server that is not ours."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from frontend_stub.attributes import Attributes
from frontend_stub.share import Share

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_create_write_read(share: Share, tree: Path) -> None:
    with share.open("file", os.O_RDWR | os.O_CREAT, 0o640) as file:
        assert file.pwrite(b"hello world", 0) == 11
        assert file.pwrite(b"W", 6) == 1
        file.fsync()
        file.fsync(datasync=True)
        assert file.pread(100, 0) == b"hello World"
        assert file.pread(5, 6) == b"World"
        assert file.pread(5, 11) == b""
    assert (tree / "file").read_bytes() == b"hello World"
    assert (tree / "file").stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_open_flags_mean_what_os_open_means(share: Share, tree: Path) -> None:
    (tree / "old").write_bytes(b"12345")
    with pytest.raises(FileExistsError) as caught:
        share.open("old", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    assert caught.value.filename == "old"
    with share.open("old", os.O_WRONLY | os.O_CREAT) as file:
        file.pwrite(b"x", 0)
    assert (tree / "old").read_bytes() == b"x2345"
    with share.open("old", os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
        file.pwrite(b"y", 0)
    assert (tree / "old").read_bytes() == b"y"
    with share.open("new", os.O_WRONLY | os.O_CREAT | os.O_EXCL):
        pass
    assert (tree / "new").read_bytes() == b""
    with share.open("old") as file, pytest.raises(OSError, match=r".") as denied:
        file.pwrite(b"z", 0)
    assert denied.value.errno == errno.EBADF
    with pytest.raises(FileNotFoundError) as missing:
        share.open("none")
    assert missing.value.filename == "none"
    with pytest.raises(FileNotFoundError):
        share.open("none/file", os.O_WRONLY | os.O_CREAT)


def test_truncate_and_stat_of_an_open_file(share: Share, tree: Path) -> None:
    with share.open("file", os.O_RDWR | os.O_CREAT) as file:
        file.truncate(1 << 20)
        assert file.stat().size == 1 << 20
        file.truncate(3)
        assert file.stat().size == 3
    assert (tree / "file").stat().st_size == 3


def test_a_closed_file(share: Share, tree: Path) -> None:
    (tree / "file").write_bytes(b"x")
    file = share.open("file")
    used = share.client.fids.in_use
    file.close()
    file.close()
    assert share.client.fids.in_use == used - 1
    with pytest.raises(OSError, match="the file is closed") as caught:
        file.pread(1, 0)
    assert caught.value.errno == errno.EBADF


def test_attributes_are_those_of_the_file(share: Share, tree: Path) -> None:
    (tree / "dir").mkdir(mode=0o751)
    (tree / "dir/file").write_bytes(b"12345")
    (tree / "dir/file").chmod(0o604)
    os.utime(tree / "dir/file", ns=(10**18 + 1, 10**18 + 2))
    os.link(tree / "dir/file", tree / "link")
    seen, real = share.stat("dir/file"), (tree / "dir/file").stat()
    assert seen.is_regular
    assert not seen.is_directory
    assert (seen.mode, seen.size, seen.nlink) == (real.st_mode, 5, 2)
    assert (seen.uid, seen.gid) == (real.st_uid, real.st_gid)
    # diod rounds through a double; what is left is right to the microsecond.
    assert abs(seen.mtime_ns - real.st_mtime_ns) < 1000
    assert share.stat("dir").is_directory
    assert share.stat().is_directory
    assert share.stat("/").qid == share.stat("").qid
    os.symlink("dir/file", tree / "symlink")
    assert not share.stat("symlink").is_regular


def test_paths_that_lead_nowhere(share: Share, tree: Path) -> None:
    (tree / "file").write_bytes(b"")
    for path, kind in [
        ("none", FileNotFoundError),
        ("none/below", FileNotFoundError),
        ("file/below", NotADirectoryError),
    ]:
        with pytest.raises(kind) as caught:
            share.stat(path)
        assert caught.value.filename == path


def test_a_path_of_more_names_than_one_twalk_takes(share: Share, tree: Path) -> None:
    deep = "/".join(f"d{i}" for i in range(40))
    (tree / deep).mkdir(parents=True)
    (tree / deep / "file").write_bytes(b"deep")
    used = share.client.fids.in_use
    with share.open(f"{deep}/file") as file:
        assert file.pread(10, 0) == b"deep"
    with pytest.raises(FileNotFoundError):
        share.stat(f"{deep}/none")
    with pytest.raises(FileNotFoundError):
        share.stat("d0/" * 5 + deep)
    (found,) = share.stat_all(deep, [b"file"])
    assert isinstance(found, Attributes)
    (missing,) = share.stat_all(deep, [b"none"])
    assert isinstance(missing, FileNotFoundError)
    assert share.client.fids.in_use == used


def test_a_large_directory_is_listed_whole(connect_diod: Callable[..., Share], tree: Path) -> None:
    names = sorted(f"file-{i:04}-{'x' * (i % 40)}" for i in range(1000))
    for name in names:
        (tree / name).write_bytes(name.encode())
    share = connect_diod(msize=4096)  # many Treaddir
    assert share.listdir() == names
    found = list(share.stat_all("", [os.fsencode(name) for name in names]))
    assert [about.size for about in found if isinstance(about, Attributes)] == [*map(len, names)]
    assert share.client.in_flight == 0


def test_stat_all_says_which_failed(share: Share, tree: Path) -> None:
    (tree / "a").write_bytes(b"1")
    (tree / "c").write_bytes(b"333")
    first, second, third = share.stat_all("/", [b"a", b"b", b"c"])
    assert isinstance(first, Attributes)
    assert first.size == 1
    assert isinstance(second, FileNotFoundError)
    assert isinstance(third, Attributes)
    assert third.size == 3


def test_names_are_bytes(share: Share, tree: Path) -> None:
    name = b"\xff\xfe not utf-8"
    with share.open(name, os.O_WRONLY | os.O_CREAT) as file:
        file.pwrite(b"x", 0)
    assert os.listdir(os.fsencode(tree)) == [name]
    assert [entry.name for entry in share.scandir()] == [name]
    assert share.stat(os.fsdecode(name)).size == 1


def test_directories_come_and_go(share: Share, tree: Path) -> None:
    share.mkdir("dir")
    with pytest.raises(FileExistsError):
        share.mkdir("dir")
    with share.open("dir/file", os.O_WRONLY | os.O_CREAT):
        pass
    with pytest.raises(OSError, match=r".") as caught:
        share.rmdir("dir")
    assert caught.value.errno == errno.ENOTEMPTY
    with pytest.raises(IsADirectoryError):
        share.remove("dir")
    share.rename("dir/file", "moved")
    share.rename("dir", "other")
    assert share.listdir() == ["moved", "other"]
    share.remove("moved")
    share.rmdir("other")
    assert os.listdir(tree) == []
    for path in ("", "/", ".."):
        with pytest.raises(OSError, match="a name is needed"):
            share.mkdir(path)


def test_rename_replaces_a_file(share: Share, tree: Path) -> None:
    (tree / "a").write_bytes(b"new")
    (tree / "b").write_bytes(b"old")
    share.rename("a", "b")
    assert (tree / "b").read_bytes() == b"new"
    assert share.listdir() == ["b"]


def test_listing_a_file_fails(share: Share, tree: Path) -> None:
    (tree / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        share.listdir("file")


def test_statfs(share: Share, tree: Path) -> None:
    seen, real = share.statfs(), os.statvfs(tree)
    assert seen.total == real.f_blocks * real.f_frsize
    assert 0 <= seen.available <= seen.free <= seen.total
    assert seen.name_max == real.f_namemax


def test_an_attach_that_is_refused_closes_the_client(share: Share) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        Share.attach(share.client, "/nowhere")
    assert caught.value.filename == "/nowhere"
    with pytest.raises(ConnectionAbortedError):
        share.stat()


def test_two_clients_of_one_socket_kind(tree: Path, connect_diod: Callable[..., Share]) -> None:
    (tree / "file").write_bytes(b"x")
    with connect_diod() as one, connect_diod() as two:
        assert one.stat("file").qid == two.stat("file").qid
