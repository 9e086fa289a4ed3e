"""Two trees have the same manifest exactly when they are alike in what was asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tools.linux_guest.guest.manifest import lines

if TYPE_CHECKING:
    from pathlib import Path


def tree(root: Path) -> bytes:
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "file").write_bytes(b"content")
    (root / "link").symlink_to("folder/file")
    os.mkfifo(root / "fifo")
    (root / "folder" / os.fsdecode(b"\xff")).touch()
    for path in (root / "folder" / "file", root / "link"):
        os.utime(path, ns=(0, 1_500_000_000), follow_symlinks=False)
    return os.fsencode(root)


def test_copies_are_alike(tmp_path: Path) -> None:
    first, second = tree(tmp_path / "first"), tree(tmp_path / "second")
    assert lines(first, times="no") == lines(second, times="no")
    assert len(lines(first)) == 5


def test_each_difference_shows(tmp_path: Path) -> None:
    first, second = tree(tmp_path / "first"), tree(tmp_path / "second")
    changed = tmp_path / "second" / "folder" / "file"

    def differences(times: str = "no") -> set[str]:
        return {
            line.split()[0]
            for line in set(lines(first, times=times)) ^ set(lines(second, times=times))
        }

    changed.chmod(0o600)
    assert differences() == {"'folder/file'"}
    changed.chmod((tmp_path / "first" / "folder" / "file").stat().st_mode)
    assert differences() == set()
    changed.write_bytes(b"CONTENT")
    assert differences() == {"'folder/file'"}
    changed.write_bytes(b"content")
    os.utime(changed, ns=(0, 1_500_000_001))
    assert differences("s") <= {"'folder'", "'fifo'", "'folder/\\xff'"}
    assert "'folder/file'" in differences("ns")
    (tmp_path / "second" / "link").unlink()
    (tmp_path / "second" / "link").symlink_to("elsewhere")
    assert differences() == {"'link'"}


def test_devices_and_links_are_told(tmp_path: Path) -> None:
    root = tree(tmp_path / "root")
    os.link(tmp_path / "root" / "folder" / "file", tmp_path / "root" / "hard")
    assert sum("links=2" in line for line in lines(root) if "file" in line or "hard" in line) == 2
    assert not any("links=" in line for line in lines(root, links=False))
    assert not any("owner=" in line for line in lines(root, owners=False))
