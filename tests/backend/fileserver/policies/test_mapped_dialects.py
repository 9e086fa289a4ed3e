"""What a guest is told of mapped files, message by message, in both dialects."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.policies.mapped_xattr import MappedXattrTree
from protocol.ninep.flags import (
    DMDEVICE,
    DMNAMEDPIPE,
    DMSOCKET,
    DMSYMLINK,
    DT_UNKNOWN,
    QTFILE,
    QTSYMLINK,
)
from tests.backend.fileserver.client import Client, refused
from tests.backend.fileserver.dotu_client import DotuClient

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("user_attributes")

USER = 1000


def test_a_guest_of_9p2000_l_has_files_of_every_kind(export: Path) -> None:
    client = Client(str(export), wrap=MappedXattrTree)
    client.mount(n_uname=USER)
    client.symlink(b"link", b"target")
    client.mknod(b"null", stat.S_IFCHR | 0o666, (1, 3))
    client.mknod(b"disk", stat.S_IFBLK | 0o660, (8, 300))
    client.mknod(b"fifo", stat.S_IFIFO | 0o640)
    client.mknod(b"socket", stat.S_IFSOCK | 0o600)
    for name, mode, rdev, code in [
        (b"link", 0o120777, 0, errno.ELOOP),
        (b"null", 0o020666, 0x103, errno.ENXIO),
        (b"disk", 0o060660, 0x10082C, errno.ENXIO),
        (b"fifo", 0o010640, 0, errno.ENXIO),
        (b"socket", 0o140600, 0, errno.ENXIO),
    ]:
        found = client.getattr(client.walk(name))
        assert (found.mode, found.rdev, found.uid) == (mode, rdev, USER)
        assert found.qid.type == (QTSYMLINK if name == b"link" else QTFILE)
        with refused(code):
            client.open(name)
        with refused(errno.ENOTDIR):
            client.walk(name, b"below")
    assert client.readlink(client.walk(b"link")) == b"target"
    assert {entry.type for entry in client.entries(client.open())} == {DT_UNKNOWN}
    client.close()
    assert {stat.S_IFMT(path.lstat().st_mode) for path in export.iterdir()} == {stat.S_IFREG}


def test_a_guest_of_9p2000_u_has_them_too(export: Path) -> None:
    client = DotuClient(str(export), wrap=MappedXattrTree)
    client.mount(n_uname=USER)
    client.symlink(b"link", b"target")
    client.mkdevice(b"null", b"c 1 3")
    client.mkdevice(b"disk", b"b 8 300", 0o660)
    client.mkfifo(b"fifo")
    client.mksocket(b"socket")
    expected = {
        b"link": (DMSYMLINK | 0o777, b"target"),
        b"null": (DMDEVICE | 0o600, b"c 1 3"),
        b"disk": (DMDEVICE | 0o660, b"b 8 300"),
        b"fifo": (DMNAMEDPIPE | 0o644, b""),
        b"socket": (DMSOCKET | 0o644, b""),
    }
    found = {name: client.stat(client.walk(name)) for name in expected}
    assert {name: (one.mode, one.extension) for name, one in found.items()} == expected
    assert {one.n_uid for one in found.values()} == {USER}
    listed = {entry.name: entry.mode for entry in client.entries(client.open())}
    assert listed == {name: mode for name, (mode, _extension) in expected.items()}
    for name in expected:
        with refused(errno.ELOOP if name == b"link" else errno.ENXIO):
            client.open(name)
    client.wstat(client.walk(b"null"), mode=DMDEVICE | 0o640)
    assert client.stat(client.walk(b"null")).mode == DMDEVICE | 0o640
    client.close()
    assert {stat.S_IFMT(path.lstat().st_mode) for path in export.iterdir()} == {stat.S_IFREG}
