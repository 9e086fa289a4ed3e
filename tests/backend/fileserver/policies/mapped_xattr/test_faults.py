"""A file that is half made, or whose attributes cannot be kept or read: never laxer than asked."""

from __future__ import annotations

import errno
import os
import stat
from functools import partial
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.files import NOBODY, Changes, Device, Owner
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.forwarding import ForwardingFile, ForwardingTree
from backend.fileserver.policies.mapped_xattr import MappedXattrTree
from tests.backend.fileserver.client import outcome, refused
from tests.backend.fileserver.policies.mapped_xattr.qemu_form import (
    MADE,
    OWNER,
    Made,
    shown,
    stored,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from backend.fileserver.files import File
    from backend.fileserver.qids import Status
    from tests.backend.fileserver.holder import Holder
    from tests.backend.fileserver.policies.mapped_xattr.steps import Steps


def test_what_cannot_be_described_is_not_made(
    held: Holder, steps: Steps, export: Path, made: Made
) -> None:
    for left in range(len(made.attributes)):
        steps.left = left
        with refused(errno.ENOSPC):
            made.make(held.tree, held.tree.root)
        assert list(export.iterdir()) == []


def test_a_file_has_its_attributes_before_it_has_a_name(
    held: Holder, steps: Steps, export: Path
) -> None:
    tree, root = held.tree, held.tree.root
    create = partial(tree.create_unnamed, root, b"new", os.O_WRONLY, 0o4640, OWNER)
    for left in range(3):
        steps.left = left
        with refused(errno.ENOSPC):
            create()
    steps.left = 3
    node, file = create()
    assert list(export.iterdir()) == []
    tree.publish(held.node(node), root, b"new")
    held.file(file)
    assert stored(export / "new") == MADE["file"].attributes


def views(held: Holder, steps: Steps, change: Callable[[], object]) -> Iterator[Status]:
    """What the guest sees of ``it``: for each moment at which the worker may die in ``change``."""
    steps.dies = True
    for left in range(10):
        steps.left = left
        code, _ = outcome(change, errno.ENOSPC)
        if not code:
            assert left >= 2
            return
        yield shown(held, b"it")


@pytest.mark.parametrize("mode", [0o4755, 0o6711, 0o1777, 0o400, 0])
def test_a_file_that_was_half_made_is_private_and_empty(
    held: Holder, steps: Steps, export: Path, mode: int
) -> None:
    def change() -> None:
        (export / "it").unlink(missing_ok=True)
        held.create(b"it", mode=mode, owner=OWNER)

    for status in views(held, steps, change):
        assert (status.st_mode, status.st_size) == (0o100600, 0)
        assert status.st_uid in (os.geteuid(), OWNER.uid)
    assert shown(held, b"it").st_mode == stat.S_IFREG | mode


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_a_special_file_that_was_half_made_is_a_private_file(
    held: Holder, steps: Steps, export: Path, kind: int
) -> None:
    def change() -> None:
        (export / "it").unlink(missing_ok=True)
        if kind == stat.S_IFLNK:
            held.tree.symlink(held.tree.root, b"it", b"target", OWNER)
        else:
            held.tree.mknod(held.tree.root, b"it", kind | 0o666, Device(1, 3), OWNER)

    for status in views(held, steps, change):
        assert status.st_mode == 0o100600
    assert stat.S_IFMT(shown(held, b"it").st_mode) == kind


def test_a_directory_that_was_half_made_is_private(
    held: Holder, steps: Steps, export: Path
) -> None:
    def change() -> None:
        if (export / "it").exists():
            (export / "it").rmdir()
        held.tree.mkdir(held.tree.root, b"it", 0o2777, OWNER)

    for status in views(held, steps, change):
        assert status.st_mode == 0o040700
    assert shown(held, b"it").st_mode == 0o042777


@pytest.mark.parametrize("mode", [None, 0o600, 0o4711])
def test_set_id_bits_never_meet_another_owner(
    held: Holder, steps: Steps, export: Path, mode: int | None
) -> None:
    (export / "it").touch()

    def change() -> None:
        left, steps.left = steps.left, 10
        held.tree.setattr(held.lookup(b"it"), None, Changes(owner=Owner(5, 6)))
        held.tree.setattr(held.lookup(b"it"), None, Changes(mode=0o6755))
        steps.left = left
        held.tree.setattr(held.lookup(b"it"), None, Changes(owner=OWNER, mode=mode))

    for status in views(held, steps, change):
        if status.st_mode & 0o6000:
            assert (status.st_uid, status.st_gid) == (5, 6)
    assert stat.S_IMODE(shown(held, b"it").st_mode) == (0o755 if mode is None else mode)


@pytest.mark.usefixtures("user_attributes")
def test_a_target_that_finds_no_room_leaves_no_link(export: Path) -> None:
    class Full(ForwardingFile):
        def write(self, buffers: Sequence[memoryview], offset: int) -> int:
            return super().write([buffers[0][:2]], offset)

    class FullTree(ForwardingTree):
        def wrap(self, file: File) -> File:
            return Full(file)

    tree = MappedXattrTree(FullTree(LocalTree(str(export))))
    with refused(errno.ENOSPC):
        tree.symlink(tree.root, b"link", b"target", NOBODY)
    assert list(export.iterdir()) == []
    tree.close()


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EACCES])
def test_where_no_attribute_can_be_kept_or_seen_dom0s_are_shown(
    held: Holder, steps: Steps, export: Path, code: int
) -> None:
    (export / "file").touch(0o640)
    steps.fault = code
    assert shown(held, b"file").st_mode == 0o100640


def test_an_attribute_that_is_there_but_cannot_be_read_is_an_error(
    held: Holder, steps: Steps, export: Path
) -> None:
    node = held.create(b"file")[0]
    steps.fault = errno.EIO
    with refused(errno.EIO):
        held.tree.getattr(node)
    with refused(errno.EIO):
        held.tree.lookup(held.tree.root, b"file")
    steps.fault = 0
    assert shown(held, b"file").st_mode == 0o100644
