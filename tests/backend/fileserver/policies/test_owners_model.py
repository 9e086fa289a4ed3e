"""Random changes of owners, modes, kinds and names, against a model in memory.

Both security models must show what the model says; with ``none`` that takes root, who may give any
owner, and device nodes are refused.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from backend.fileserver.files import NO_CHANGE, Changes, Device, Owner
from backend.fileserver.limits import Slots
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.mapped_xattr import MappedXattrTree
from tests.backend.fileserver.client import outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.fileserver.files import Node
    from backend.fileserver.tree import Tree

FOLDER = b"folder"
PLACES = st.tuples(st.sampled_from([b"", FOLDER]), st.sampled_from([b"a", b"b", b"c"]))
MODES = st.integers(0, 0o7777)
IDS = st.integers(0, 0xFFFF_FFFE)
OWNERS = st.builds(Owner, IDS, IDS)
ERRNOS = (
    *(errno.ENOENT, errno.EEXIST, errno.EPERM, errno.EISDIR, errno.ENOTDIR),
    *(errno.EOPNOTSUPP, errno.EINVAL, errno.ELOOP, errno.ENXIO),
)

Place = tuple[bytes, bytes]


@dataclass
class File:
    """What a file is to the guest."""

    mode: int
    owner: Owner
    rdev: int = 0
    target: bytes = b""
    places: set[Place] = field(default_factory=set)

    @property
    def kind(self) -> int:
        return stat.S_IFMT(self.mode)


class Owners(RuleBasedStateMachine):
    """Each rule does the same to the tree and to the model, and compares the errno."""

    devices: ClassVar[bool]
    """Whether the guest may have them."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        os.mkdir(os.path.join(os.fsencode(self.directory.name), FOLDER))
        self.slots = Slots("descriptors", 50)
        self.tree = self.wrapped(LocalTree(self.directory.name, self.slots))
        self.files: dict[Place, File] = {}

    def wrapped(self, local: LocalTree) -> Tree:
        """As the security model has it."""
        raise NotImplementedError

    def teardown(self) -> None:
        assert self.slots.used == 1
        self.tree.close()
        self.directory.cleanup()

    # How the two are asked.

    def within(self, folder: bytes, body: Callable[[Node], Any]) -> Any:
        node = self.tree.lookup(self.tree.root, folder) if folder else self.tree.root.hold()
        try:
            return body(node)
        finally:
            node.release()

    def at(self, place: Place, body: Callable[[Node], Any]) -> Any:
        def found(parent: Node) -> Any:
            node = self.tree.lookup(parent, place[1])
            try:
                return body(node)
            finally:
                node.release()

        return self.within(place[0], found)

    def same(self, code: int, attempt: Callable[[], Any]) -> bool:
        """Whether it succeeded, as ``code`` says it must or must not."""
        found, _ = outcome(attempt, *ERRNOS)
        assert errno.errorcode.get(found) == errno.errorcode.get(code)
        return not code

    def add(self, place: Place, file: File, attempt: Callable[[Node], Any]) -> None:
        code = errno.EEXIST if place in self.files else 0
        if self.same(code, lambda: self.within(place[0], attempt)):
            self.files[place] = file
            file.places.add(place)

    def drop(self, place: Place) -> None:
        self.files.pop(place).places.discard(place)

    # What a guest does.

    @rule(place=PLACES, mode=MODES, owner=OWNERS)
    def create(self, place: Place, mode: int, owner: Owner) -> None:
        def attempt(parent: Node) -> None:
            flags = os.O_WRONLY | os.O_EXCL
            node, file = self.tree.create(parent, place[1], flags, mode, owner)
            file.close()
            node.release()

        self.add(place, File(stat.S_IFREG | mode, owner), attempt)

    @rule(place=PLACES, mode=MODES, owner=OWNERS)
    def mkdir(self, place: Place, mode: int, owner: Owner) -> None:
        file = File(stat.S_IFDIR | mode, owner)
        self.add(place, file, lambda node: self.tree.mkdir(node, place[1], mode, owner))

    @rule(place=PLACES, text=st.sampled_from([b"a", b"/nowhere", b"\xff"]), owner=OWNERS)
    def symlink(self, place: Place, text: bytes, owner: Owner) -> None:
        file = File(stat.S_IFLNK | 0o777, owner, target=text)
        self.add(place, file, lambda node: self.tree.symlink(node, place[1], text, owner))

    @rule(
        place=PLACES,
        kind=st.sampled_from([stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG, stat.S_IFCHR]),
        mode=MODES,
        owner=OWNERS,
        device=st.builds(Device, st.integers(0, (1 << 12) - 1), st.integers(0, (1 << 20) - 1)),
    )
    def mknod(self, place: Place, kind: int, mode: int, owner: Owner, device: Device) -> None:
        def attempt(parent: Node) -> None:
            self.tree.mknod(parent, place[1], kind | mode, device, owner)

        if kind == stat.S_IFCHR and not self.devices:
            self.same(errno.EPERM, lambda: self.within(place[0], attempt))
        else:
            rdev = os.makedev(*device) if kind == stat.S_IFCHR else 0
            self.add(place, File(kind | mode, owner, rdev), attempt)

    @rule(place=PLACES, mode=MODES)
    def chmod(self, place: Place, mode: int) -> None:
        file = self.files.get(place)
        code = errno.ENOENT if file is None else 0
        if file is not None and file.kind == stat.S_IFLNK:
            code = errno.EOPNOTSUPP
        changes = Changes(mode=mode)
        if self.same(code, lambda: self.at(place, lambda n: self.tree.setattr(n, None, changes))):
            assert file is not None
            file.mode = file.kind | mode

    @rule(place=PLACES, uid=IDS | st.just(NO_CHANGE), gid=IDS, mode=st.none() | MODES)
    def chown(self, place: Place, uid: int, gid: int, mode: int | None) -> None:
        file = self.files.get(place)
        if file is not None and file.kind == stat.S_IFLNK:
            mode = None
        changes = Changes(owner=Owner(uid, gid), mode=mode)
        code = errno.ENOENT if file is None else 0
        if self.same(code, lambda: self.at(place, lambda n: self.tree.setattr(n, None, changes))):
            assert file is not None
            file.owner = Owner(file.owner.uid if uid == NO_CHANGE else uid, gid)
            if mode is not None:
                file.mode = file.kind | mode
            elif file.kind != stat.S_IFDIR:
                set_gid = stat.S_ISGID if file.mode & stat.S_IXGRP else 0
                file.mode &= ~(stat.S_ISUID | set_gid)

    @rule(place=PLACES, new=PLACES)
    def link(self, place: Place, new: Place) -> None:
        file = self.files.get(place)
        if file is None:
            code = errno.ENOENT
        elif new in self.files:
            code = errno.EEXIST
        else:
            code = errno.EPERM if file.kind == stat.S_IFDIR else 0

        def attempt() -> None:
            self.at(place, lambda n: self.within(new[0], lambda p: self.tree.link(n, p, new[1])))

        if self.same(code, attempt):
            assert file is not None
            self.files[new] = file
            file.places.add(new)

    @rule(old=PLACES, new=PLACES)
    def rename(self, old: Place, new: Place) -> None:
        moved, replaced = self.files.get(old), self.files.get(new)
        code = errno.ENOENT if moved is None else 0
        if moved and replaced and moved is not replaced:
            if moved.kind != stat.S_IFDIR and replaced.kind == stat.S_IFDIR:
                code = errno.EISDIR
            elif moved.kind == stat.S_IFDIR and replaced.kind != stat.S_IFDIR:
                code = errno.ENOTDIR

        def attempt() -> None:
            self.within(
                old[0],
                lambda a: self.within(new[0], lambda b: self.tree.rename(a, old[1], b, new[1])),
            )

        if self.same(code, attempt) and moved is not replaced:
            assert moved is not None
            if replaced is not None:
                self.drop(new)
            self.drop(old)
            self.files[new] = moved
            moved.places.add(new)

    @rule(place=PLACES, directory=st.booleans())
    def unlink(self, place: Place, *, directory: bool) -> None:
        file = self.files.get(place)
        code = errno.ENOENT if file is None else 0
        if file is not None and directory != (file.kind == stat.S_IFDIR):
            code = errno.ENOTDIR if directory else errno.EISDIR

        def attempt() -> None:
            self.within(
                place[0], lambda node: self.tree.unlink(node, place[1], directory=directory)
            )

        if self.same(code, attempt):
            self.drop(place)

    # What the guest sees.

    @invariant()
    def all_is_as_the_model_has_it(self) -> None:
        for place, file in self.files.items():
            self.at(place, lambda node, file=file: self.compare(node, file))  # type: ignore[misc]

    def compare(self, node: Node, file: File) -> None:
        qid, status = self.tree.getattr(node)
        assert oct(status.st_mode) == oct(file.mode)
        assert (status.st_uid, status.st_gid, status.st_rdev) == (*file.owner, file.rdev)
        assert (node.kind, qid.type) == (file.kind, node.qid.type)
        if file.kind != stat.S_IFDIR:
            assert status.st_nlink == len(file.places)
        code = {stat.S_IFREG: 0, stat.S_IFDIR: 0, stat.S_IFLNK: errno.ELOOP}
        self.same(
            code.get(file.kind, errno.ENXIO), lambda: self.tree.open(node, os.O_RDONLY).close()
        )
        if file.kind == stat.S_IFLNK:
            assert (self.tree.readlink(node), status.st_size) == (file.target, len(file.target))
        else:
            assert outcome(lambda: self.tree.readlink(node), errno.EINVAL)[0] == errno.EINVAL


class Unmapped(Owners):
    devices = False

    def wrapped(self, local: LocalTree) -> Tree:
        return local


class Mapped(Owners):
    devices = True

    def wrapped(self, local: LocalTree) -> Tree:
        return MappedXattrTree(local)


_SETTINGS = settings(max_examples=60, stateful_step_count=40, deadline=None)

TestUnmapped = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give any owner")(
    Unmapped.TestCase
)
TestUnmapped.settings = _SETTINGS

TestMapped = pytest.mark.usefixtures("user_attributes")(Mapped.TestCase)
TestMapped.settings = _SETTINGS
