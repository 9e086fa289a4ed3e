"""Qid paths: no two files share one, and the common ones are the inode's number."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from backend.fileserver.qids import QidSpace

from .client import Client, refused

if TYPE_CHECKING:
    from pathlib import Path

ROOT_DEV = 7
DEVICES = st.sampled_from([ROOT_DEV, 8, 9, 1 << 40])
INODES = st.integers(0, (1 << 64) - 1) | st.sampled_from([0, 1, (1 << 48) - 1, 1 << 48])


@given(st.lists(st.tuples(DEVICES, INODES), max_size=40))
def test_no_two_files_share_a_path(files: list[tuple[int, int]]) -> None:
    space = QidSpace(ROOT_DEV)
    paths = {file: space.path(*file) for file in files}
    assert len(set(paths.values())) == len(paths)
    assert all(0 <= path < 1 << 64 for path in paths.values())
    assert all(space.path(*file) == path for file, path in paths.items())
    for (dev, ino), path in paths.items():
        if dev == ROOT_DEV and ino < 1 << 48:
            assert path == ino


def test_the_table_of_prefixes_ends() -> None:
    space = QidSpace(ROOT_DEV)
    for dev in range(100, 100 + 65535):
        space.path(dev, 1)
    with refused(errno.EOVERFLOW):
        space.path(1, 1)
    assert space.path(ROOT_DEV, 5) == 5
    assert space.path(100, 2) == 1 << 48 | 2


def test_files_on_a_file_system_mounted_below_are_told_apart() -> None:
    host = Client("/")
    host.mount()
    fids = [host.walk(), host.walk(b"proc"), host.walk(b"proc", b"sys", b"..", b"..")]
    assert os.stat("/proc").st_dev != os.stat("/").st_dev
    root, proc, back = [host.getattr(fid).qid.path for fid in fids]
    assert root == back != proc
    assert proc >> 48 > 0
    host.close()


def test_where_prefixes_have_run_out_the_rest_is_still_served() -> None:
    host = Client("/")
    host.mount()
    for dev in range(1 << 16):
        with suppress(OSError):
            host.local._qids.path(-dev, 1)
    used = host.local._descriptors.used
    with refused(errno.EOVERFLOW):
        host.walk(b"proc")
    assert host.local._descriptors.used == used
    host.walk(b"etc")
    host.close()


def test_versions_differ_for_changes_in_a_row(client: Client, export: Path) -> None:
    path = export / "file"
    fid = client.create(b"file")
    versions = []
    for size in range(50):
        path.write_bytes(bytes(size))
        versions.append(client.getattr(fid).qid.version)
    assert all(before != after for before, after in pairwise(versions))
