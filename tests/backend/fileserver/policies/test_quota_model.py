"""Whatever guests do, through two workers: the ledger is what a fresh count says, within limits."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from backend.fileserver.files import NOBODY, Changes, Device
from backend.fileserver.inode_table import UNIT
from backend.fileserver.ledger import Totals

from ..client import outcome
from ..quotas import RAM, needs_ram, quota, scanned

if TYPE_CHECKING:
    from backend.fileserver.files import File, Node
    from backend.fileserver.policies.quota import QuotaTree

pytestmark = needs_ram

REFUSALS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOENT,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EINVAL,
    errno.EPERM,
    errno.EBADF,
)

names = st.sampled_from([b"a", b"b", b"c", b"l" * 250])
workers = st.integers(0, 1)
picks = st.integers(0, 30)
offsets = st.integers(0, 300_000)
lengths = st.one_of(st.integers(0, 9_000), st.integers(0, 200_000))


class Guests(RuleBasedStateMachine):
    """Names are in the root or in one of its directories; fids are kept open as guests do."""

    max_space = 400 << 10
    max_files = 7

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(dir=RAM))
        self.stack.callback(shutil.rmtree, self.folder)
        self.export = self.folder / "export"
        self.export.mkdir()
        self.trees: list[QuotaTree] = [
            self.stack.enter_context(
                quota(
                    self.export,
                    self.folder / "q",
                    max_space=self.max_space,
                    max_files=self.max_files,
                )
            )
            for _ in range(2)
        ]
        self.nodes: list[tuple[QuotaTree, Node]] = []
        self.files: list[tuple[QuotaTree, Node, File]] = []
        for tree in self.trees:
            tree.wait_until_counted()

    def teardown(self) -> None:
        for _tree, _node, file in self.files:
            file.close()
        for _tree, node in self.nodes:
            node.release()
        assert [tree.ledger.totals for tree in self.trees] == [scanned(self.export)] * 2
        self.stack.close()

    def directory(self, tree: QuotaTree, pick: int) -> Node:
        found = [node for owner, node in self.nodes if owner is tree and node.qid.type]
        return ([tree.root, *found])[pick % (1 + len(found))]

    @rule(worker=workers, name=names, pick=picks, flags=st.sampled_from([0, os.O_EXCL, os.O_TRUNC]))
    def create(self, worker: int, name: bytes, pick: int, flags: int) -> None:
        tree = self.trees[worker]
        code, made = outcome(
            lambda: tree.create(self.directory(tree, pick), name, os.O_RDWR | flags, 0o600, NOBODY),
            *REFUSALS,
            errno.ELOOP,
            errno.ENXIO,
        )
        if not code:
            node, file = made
            self.nodes.append((tree, node))
            self.files.append((tree, node, file))

    @rule(worker=workers, name=names, pick=picks, kind=st.integers(0, 3))
    def make(self, worker: int, name: bytes, pick: int, kind: int) -> None:
        tree = self.trees[worker]
        parent = self.directory(tree, pick)
        make = [
            lambda: tree.mkdir(parent, name, 0o700, NOBODY),
            lambda: tree.symlink(parent, name, b"t", NOBODY),
            lambda: tree.symlink(parent, name, b"t" * 500, NOBODY),
            lambda: tree.mknod(parent, name, 0o010600, Device(0, 0), NOBODY),
        ][kind]
        outcome(make, *REFUSALS)

    @rule(worker=workers, name=names, pick=picks)
    def look_up(self, worker: int, name: bytes, pick: int) -> None:
        tree = self.trees[worker]
        code, node = outcome(
            lambda: tree.lookup(self.directory(tree, pick), name), errno.ENOENT, errno.ENOTDIR
        )
        if not code:
            self.nodes.append((tree, node))

    @rule(pick=picks, flags=st.sampled_from([os.O_RDWR, os.O_RDONLY, os.O_WRONLY | os.O_APPEND]))
    def open(self, pick: int, flags: int) -> None:
        regular = [(tree, node) for tree, node in self.nodes if node.kind == 0o100000]
        if regular:
            tree, node = regular[pick % len(regular)]
            self.files.append((tree, node, tree.open(node, flags)))

    @rule(pick=picks, offset=offsets, length=lengths)
    def write(self, pick: int, offset: int, length: int) -> None:
        if self.files:
            _tree, _node, file = self.files[pick % len(self.files)]
            data = [memoryview(bytes(length // 3)), memoryview(bytes(length - length // 3))]
            outcome(lambda: file.write(data, offset), *REFUSALS)

    @rule(pick=picks, size=offsets)
    def resize(self, pick: int, size: int) -> None:
        if self.nodes:
            tree, node = self.nodes[pick % len(self.nodes)]
            outcome(
                lambda: tree.setattr(node, None, Changes(size=size)),
                *REFUSALS,
                errno.ELOOP,
                errno.ENXIO,
            )

    @rule(worker=workers, name=names, pick=picks, directory=st.booleans())
    def unlink(self, worker: int, name: bytes, pick: int, directory: bool) -> None:
        tree = self.trees[worker]
        outcome(
            lambda: tree.unlink(self.directory(tree, pick), name, directory=directory), *REFUSALS
        )

    @rule(worker=workers, old=names, new=names, pick=picks, pick_new=picks)
    def rename(self, worker: int, old: bytes, new: bytes, pick: int, pick_new: int) -> None:
        tree = self.trees[worker]
        outcome(
            lambda: tree.rename(
                self.directory(tree, pick), old, self.directory(tree, pick_new), new
            ),
            *REFUSALS,
        )

    @rule(name=names, pick=picks, pick_parent=picks)
    def link(self, name: bytes, pick: int, pick_parent: int) -> None:
        if self.nodes:
            tree, node = self.nodes[pick % len(self.nodes)]
            outcome(lambda: tree.link(node, self.directory(tree, pick_parent), name), *REFUSALS)

    @rule(pick=picks)
    def close(self, pick: int) -> None:
        if self.files:
            self.files.pop(pick % len(self.files))[2].close()

    @rule(pick=picks)
    def release(self, pick: int) -> None:
        if self.nodes:
            self.nodes.pop(pick % len(self.nodes))[1].release()

    def expected(self) -> Totals:
        """A fresh count, and what has no name but is held."""
        space, files = scanned(self.export)
        held = [os.fstat(node.fd) for _tree, node in self.nodes]
        held += [os.fstat(file.fileno()) for _tree, _node, file in self.files]
        orphans = {status.st_ino: status.st_blocks for status in held if not status.st_nlink}
        return Totals(space + sum(orphans.values()), files + len(orphans))

    @invariant()
    def the_ledger_is_exact_and_within_the_limits(self) -> None:
        expected = self.expected()
        for tree in self.trees:
            assert tree.ledger.totals == expected
        assert expected.files <= self.max_files
        assert expected.space * UNIT <= self.max_space


class FarGuests(Guests):
    """The same far from the limits, where nobody waits for a turn."""

    max_space = 1 << 30
    max_files = 1000


TestGuests = Guests.TestCase
TestFarGuests = FarGuests.TestCase
TestGuests.settings = TestFarGuests.settings = settings(
    max_examples=40, stateful_step_count=50, deadline=None
)
