"""What a process that died has made, or half made, is finished by the next one."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.files import Device, New
from tests.backend.fileserver.client import outcome
from tests.backend.fileserver.policies.mapped_xattr.qemu_form import MADE, OWNER, shown, stored

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backend.fileserver.holder import Holder
    from tests.backend.fileserver.policies.mapped_xattr.steps import Steps

FILE = New(stat.S_IFREG | 0o4640, OWNER, flags=os.O_WRONLY)
LINK = New(stat.S_IFLNK | 0o777, OWNER, target=b"some/where")


@pytest.mark.parametrize("left", range(4))
@pytest.mark.parametrize("made", sorted(MADE))
def test_it_is_as_if_it_had_been_made_at_once(
    held: Holder, steps: Steps, export: Path, made: str, left: int
) -> None:
    tree, root = held.tree, held.tree.root
    MADE[made].make(tree, root)
    whole, (name,) = shown(held, b"new"), os.listdir(export)
    content = (export / name).read_bytes() if (export / name).is_file() else b""
    wanted = stored(export / name)
    device = Device(os.major(whole.st_rdev), os.minor(whole.st_rdev))
    new = New(
        whole.st_mode,
        OWNER,
        target=content if stat.S_ISLNK(whole.st_mode) else b"",
        device=device if "rdev" in wanted else None,
    )
    tree.unlink(root, b"new", directory=stat.S_ISDIR(whole.st_mode))
    steps.dies, steps.left = True, left
    outcome(lambda: MADE[made].make(tree, root), errno.ENOSPC)
    steps.dies, steps.left = False, 100
    assert tree.finished(root, b"new", new) is not None
    assert stored(export / name) == wanted
    assert shown(held, b"new").st_mode == whole.st_mode
    if content:
        assert (export / name).read_bytes() == content


@pytest.mark.parametrize("there", [b"", b"some", b"some/where"])
def test_a_target_of_which_a_part_is_there(held: Holder, export: Path, there: bytes) -> None:
    (export / "soft").write_bytes(there)
    assert held.tree.finished(held.tree.root, b"soft", LINK) is not None
    assert held.tree.readlink(held.lookup(b"soft")) == b"some/where"


def test_what_is_something_else_is_left_alone(held: Holder, export: Path) -> None:
    tree, root = held.tree, held.tree.root
    assert tree.finished(root, b"nothing", FILE) is None
    (export / "directory").mkdir()
    assert tree.finished(root, b"directory", FILE) is None
    (export / "file").write_bytes(b"somebody's")
    assert tree.finished(root, b"file", LINK) is None
    assert (export / "file").read_bytes() == b"somebody's"
    assert stored(export / "file") == {}
