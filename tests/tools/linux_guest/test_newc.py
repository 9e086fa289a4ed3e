"""The archive that the guest's kernel unpacks holds what was put into it."""

from __future__ import annotations

import io
import stat
import tarfile
from typing import NamedTuple

from tools.linux_guest.newc import Archive


class Entry(NamedTuple):
    mode: int
    uid: int
    device: tuple[int, int]
    data: bytes
    time: int = 0


def unpacked(archive: bytes) -> dict[str, Entry]:
    """The entries, as the kernel's ``buffer-format.rst`` describes them."""
    found: dict[str, Entry] = {}
    at = 0
    while True:
        assert at % 4 == 0
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        _, mode, uid, _, _, time, size, _, _, major, minor, name_size, _ = fields
        name = archive[at + 110 : at + 110 + name_size]
        assert name.endswith(b"\0")
        at += (110 + name_size + 3) // 4 * 4
        if name == b"TRAILER!!!\0":
            assert at == len(archive)
            return found
        data = archive[at : at + size]
        found[name[:-1].decode()] = Entry(mode, uid, (major, minor), data, time)
        at += (size + 3) // 4 * 4


def test_entries_from_memory() -> None:
    out = io.BytesIO()
    with Archive(out) as archive:
        archive.add("folder", stat.S_IFDIR | 0o755)
        archive.add("folder/file", stat.S_IFREG | 0o644, b"12345")
        archive.add("link", stat.S_IFLNK | 0o777, b"folder")
    assert unpacked(out.getvalue()) == {
        "folder": Entry(stat.S_IFDIR | 0o755, 0, (0, 0), b""),
        "folder/file": Entry(stat.S_IFREG | 0o644, 0, (0, 0), b"12345"),
        "link": Entry(stat.S_IFLNK | 0o777, 0, (0, 0), b"folder"),
    }


def member(name: str, kind: bytes, **fields: int | str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def test_members_of_a_tar_archive() -> None:
    tarball, out = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tarball, mode="w") as tar:
        tar.addfile(member(".", tarfile.DIRTYPE))
        tar.addfile(member("./bin", tarfile.DIRTYPE, mode=0o755))
        tar.addfile(
            member("./bin/sh", tarfile.REGTYPE, mode=0o4755, uid=7, size=3, mtime=9),
            io.BytesIO(b"abc"),
        )
        tar.addfile(member("./bin/hard", tarfile.LNKTYPE, linkname="./bin/sh"))
        tar.addfile(member("./bin/soft", tarfile.SYMTYPE, linkname="sh", mode=0o777))
        tar.addfile(member("./null", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3))
        tar.addfile(member("./unwanted", tarfile.REGTYPE))
    tarball.seek(0)
    with tarfile.open(fileobj=tarball) as tar, Archive(out) as archive:
        archive.add_tar(tar, lambda name: "unwanted" not in name)
    shell = Entry(stat.S_IFREG | 0o4755, 7, (0, 0), b"abc", 9)
    assert unpacked(out.getvalue()) == {
        "bin": Entry(stat.S_IFDIR | 0o755, 0, (0, 0), b""),
        "bin/sh": shell,
        "bin/hard": shell,
        "bin/soft": Entry(stat.S_IFLNK | 0o777, 0, (0, 0), b"sh"),
        "null": Entry(stat.S_IFCHR | 0o666, 0, (1, 3), b""),
    }
