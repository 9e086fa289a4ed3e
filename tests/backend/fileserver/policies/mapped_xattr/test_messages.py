"""What 9P2000.L's messages tell of mapped files; 9P2000.u's are in ``dotu/test_policies.py``."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.policies.mapped_xattr import MappedXattrTree
from protocol.ninep.flags import DT_UNKNOWN, QTFILE, QTSYMLINK
from tests.backend.fileserver.client import Client, refused

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
