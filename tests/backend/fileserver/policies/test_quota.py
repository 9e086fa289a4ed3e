"""A quota's limits as a guest meets them, and what is counted for what."""

from __future__ import annotations

import errno
import os
import stat
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from backend.fileserver import ledger_file as at
from backend.fileserver.deferred import run_now
from backend.fileserver.files import NOBODY, Changes, Device
from backend.fileserver.inode_table import UNIT
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.quota import QuotaTree

from ..client import outcome, refused, unprivileged
from ..holder import Holder, write
from ..quotas import bytes_used, needs_ram, quota, scanned, with_quota

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KIB = 1024
SPACE = 256 * KIB
FILES = 8


@pytest.fixture
def held(folder: Path) -> Iterator[Holder]:
    """Hands out files of a tree with small limits; the ledger agrees with a fresh count after."""
    with quota(folder / "export", folder / "q", max_space=SPACE, max_files=FILES) as tree:
        holder = Holder(tree)
        yield holder
        holder.release()
        assert tree.ledger.totals == scanned(folder / "export")


def quota_of(held: Holder) -> QuotaTree:
    tree = held.tree
    assert isinstance(tree, QuotaTree)
    return tree


pytestmark = needs_ram


def test_a_write_that_does_not_fit_whole_is_refused_and_a_smaller_one_is_not(held: Holder) -> None:
    _node, file = held.create(b"file")
    assert write(file, bytes(200 * KIB)) == 200 * KIB
    with refused(errno.ENOSPC):
        write(file, bytes(100 * KIB), 200 * KIB)
    assert os.fstat(file.fileno()).st_size == 200 * KIB
    assert write(file, bytes(56 * KIB), 200 * KIB) == 56 * KIB
    with refused(errno.ENOSPC):
        write(file, b"x", SPACE)
    # What is there may be rewritten, a part of a hole may not.
    assert write(file, bytes(200 * KIB), 10) == 200 * KIB
    assert bytes_used(quota_of(held)) == SPACE
    assert write(file, b"") == 0


def test_a_hole_is_free_until_it_is_written(held: Holder) -> None:
    node, file = held.create(b"file")
    held.tree.setattr(node, None, Changes(size=1 << 40))
    assert bytes_used(quota_of(held)) == 0
    assert write(file, b"x", 1 << 39) == 1
    assert bytes_used(quota_of(held)) == 4 * KIB
    assert write(file, bytes(SPACE - 4 * KIB), 1 << 38) == SPACE - 4 * KIB
    with refused(errno.ENOSPC):
        write(file, b"x", 0)
    held.tree.setattr(node, file, Changes(size=0))
    assert bytes_used(quota_of(held)) == 0


def test_an_append_is_refused_at_the_limit_whatever_its_offset(held: Holder) -> None:
    held.create(b"file")
    file = held.open(b"file", flags=os.O_WRONLY | os.O_APPEND)
    assert write(file, bytes(200 * KIB)) == 200 * KIB
    with refused(errno.ENOSPC):
        write(file, bytes(56 * KIB + 1))
    assert write(file, bytes(56 * KIB)) == 56 * KIB
    with refused(errno.ENOSPC):
        write(file, bytes(KIB))


def test_opening_with_truncation_gives_space_back(held: Holder) -> None:
    _node, file = held.create(b"file")
    write(file, bytes(SPACE))
    assert bytes_used(quota_of(held)) == SPACE
    held.open(b"file", flags=os.O_RDWR | os.O_TRUNC)
    assert bytes_used(quota_of(held)) == 0


def test_a_failed_change_of_attributes_counts_what_it_did(held: Holder) -> None:
    node, file = held.create(b"file")
    write(file, bytes(SPACE))
    with refused(errno.EFBIG):
        held.tree.setattr(node, None, Changes(size=1 << 63))
    held.tree.setattr(node, None, Changes(mode=0o600))
    assert bytes_used(quota_of(held)) == SPACE


def test_files_of_any_kind_are_limited_and_names_are_not(held: Holder) -> None:
    tree, root = held.tree, held.tree.root
    tree.mkdir(root, b"dir", 0o755, NOBODY)
    tree.symlink(root, b"link", b"target", NOBODY)
    tree.mknod(root, b"fifo", stat.S_IFIFO | 0o600, Device(0, 0), NOBODY)
    for number in range(FILES - 3):
        held.create(b"%d" % number)
    for make in (
        lambda: held.create(b"new"),
        lambda: tree.mkdir(root, b"new", 0o755, NOBODY),
        lambda: tree.symlink(root, b"new", b"target", NOBODY),
        lambda: tree.mknod(root, b"new", stat.S_IFIFO | 0o600, Device(0, 0), NOBODY),
    ):
        with refused(errno.EDQUOT):
            make()
    tree.link(held.lookup(b"0"), root, b"twin")
    tree.unlink(root, b"0", directory=False)
    # What exists can be opened, and says so to those who insist on a new one.
    held.create(b"twin")
    with refused(errno.EEXIST):
        held.create(b"twin", os.O_RDWR | os.O_EXCL)
    with refused(errno.EEXIST):
        tree.mkdir(root, b"dir", 0o755, NOBODY)
    tree.unlink(root, b"dir", directory=True)
    held.create(b"new")


def test_where_no_space_is_left_there_is_none_for_names(held: Holder) -> None:
    tree, root = held.tree, held.tree.root
    node, file = held.create(b"file")
    write(file, bytes(SPACE))
    for make in (
        lambda: held.create(b"new"),
        lambda: tree.mkdir(root, b"new", 0o755, NOBODY),
        lambda: tree.link(node, root, b"new"),
        lambda: tree.rename(root, b"file", root, b"new"),
    ):
        with refused(errno.ENOSPC):
            make()
    assert os.listdir(f"/proc/self/fd/{root.fd}") == ["file"]


def test_an_open_file_counts_until_it_is_closed(held: Holder) -> None:
    tree = quota_of(held)
    node, file = tree.create(tree.root, b"file", os.O_RDWR, 0o600, NOBODY)
    write(file, bytes(100 * KIB))
    tree.unlink(tree.root, b"file", directory=False)
    write(file, bytes(100 * KIB), 100 * KIB)
    assert write(file, bytes(56 * KIB), SPACE) == 56 * KIB
    pin = file.pin()
    file.close()
    node.release()
    assert (bytes_used(tree), tree.ledger.totals.files) == (SPACE, 1)
    pin.sync(data_only=True)
    pin.close()
    assert (bytes_used(tree), tree.ledger.totals.files) == (0, 0)


def test_a_file_counts_as_long_as_a_fid_stands_for_it(held: Holder) -> None:
    tree = quota_of(held)
    node, file = tree.create(tree.root, b"file", os.O_RDWR, 0o600, NOBODY)
    write(file, bytes(200 * KIB))
    file.close()
    node.release()
    tree.mkdir(tree.root, b"dir", 0o700, NOBODY)
    nodes = [tree.lookup(tree.root, name) for name in (b"file", b"file", b"dir")]
    tree.unlink(tree.root, b"file", directory=False)
    tree.unlink(tree.root, b"dir", directory=True)
    for files in (2, 1, 1):
        assert tree.ledger.totals.files == files
        nodes.pop().release()
    assert (bytes_used(tree), tree.ledger.totals.files) == (0, 0)


def test_renaming_over_a_file_frees_it(held: Holder) -> None:
    tree = quota_of(held)
    for name in (b"old", b"new"):
        node, file = tree.create(tree.root, name, os.O_RDWR, 0o600, NOBODY)
        write(file, bytes(SPACE // 2))
        file.close()
        node.release()
    # No room for another name, but this is none.
    tree.rename(tree.root, b"new", tree.root, b"old")
    assert (bytes_used(tree), tree.ledger.totals.files) == (SPACE // 2, 1)
    tree.link(held.lookup(b"old"), tree.root, b"twin")
    tree.rename(tree.root, b"old", tree.root, b"twin")  # the same file: nothing happens
    assert (bytes_used(tree), tree.ledger.totals.files) == (SPACE // 2, 1)


def test_statfs_shows_the_limits(held: Holder, folder: Path) -> None:
    _node, file = held.create(b"file")
    write(file, bytes(56 * KIB))
    space = held.tree.statfs(held.tree.root)
    assert space.blocks * space.bsize == SPACE
    assert space.bfree * space.bsize == space.bavail * space.bsize == 200 * KIB
    assert (space.files, space.ffree) == (FILES, FILES - 1)
    real = os.statvfs(folder)
    with quota(folder / "export", folder / "q", max_space=1 << 60) as large:
        shown = large.statfs(large.root)
        assert (shown.blocks * shown.bsize, shown.files) == (1 << 60, real.f_files)
        # There is no more than the disk has, although less of the limit is used.
        assert shown.bavail <= real.f_blocks < shown.bfree
    with quota(folder / "export", folder / "q", max_files=1 << 60) as many:
        shown = many.statfs(many.root)
        assert (shown.blocks, shown.ffree <= real.f_files) == (real.f_blocks, True)
        assert shown.files - shown.ffree == 1
    with quota(folder / "export", folder / "q", max_space=KIB, max_files=0) as over:
        shown = over.statfs(over.root)
        assert (shown.bfree, shown.bavail, shown.ffree) == (0, 0, 0)


def test_attributes_need_room_where_they_take_blocks(export: Path, tmp_path: Path) -> None:
    with quota(export, tmp_path / "q", max_space=SPACE) as tree:
        node, file = tree.create(tree.root, b"file", os.O_RDWR, 0o600, NOBODY)
        code, _ = outcome(lambda: tree.xattr_set(node, b"user.a", b"1", 0), errno.EOPNOTSUPP)
        if not code:
            tree.xattr_set(node, b"user.b", bytes(2000), 0)
            assert tree.ledger.totals == scanned(export)
            tree.xattr_remove(node, b"user.b")
            write(file, bytes(SPACE - bytes_used(tree)))
            with refused(errno.ENOSPC):
                tree.xattr_set(node, b"user.b", bytes(2000), 0)
        file.close()
        node.release()


def test_files_made_in_dom0_count_from_the_start(folder: Path) -> None:
    (folder / "export/dir").mkdir()
    (folder / "export/dir/file").write_bytes(bytes(200 * KIB))
    os.link(folder / "export/dir/file", folder / "export/twin")
    with quota(folder / "export", folder / "q", max_space=SPACE, max_files=3) as tree:
        node, file = tree.create(tree.root, b"new", os.O_RDWR, 0o600, NOBODY)
        with refused(errno.EDQUOT):
            tree.mkdir(tree.root, b"more", 0o700, NOBODY)
        with refused(errno.ENOSPC):
            write(file, bytes(60 * KIB))
        assert write(file, bytes(56 * KIB)) == 56 * KIB
        file.close()
        node.release()
        assert tree.ledger.totals == scanned(folder / "export")


def test_what_dom0_deletes_is_seen_when_a_limit_is_met(folder: Path) -> None:
    (folder / "export/file").write_bytes(bytes(SPACE))
    with quota(folder / "export", folder / "q", max_space=SPACE, interval=0) as tree:
        with refused(errno.ENOSPC):
            tree.mkdir(tree.root, b"dir", 0o700, NOBODY)
        tree._counting._join()
        (folder / "export/file").unlink()
        with refused(errno.ENOSPC):
            tree.mkdir(tree.root, b"dir", 0o700, NOBODY)
        tree._counting._join()
        tree.mkdir(tree.root, b"dir", 0o700, NOBODY)
        assert tree.ledger.totals == scanned(folder / "export")
        # One that is held is not in doubt: it counts with what will be compared next.
        node, file = tree.create(tree.root, b"held", os.O_RDWR, 0o600, NOBODY)
        write(file, bytes(SPACE))
        os.truncate(folder / "export/held", 0)
        with refused(errno.ENOSPC):
            tree.mkdir(tree.root, b"more", 0o700, NOBODY)
        tree._counting._join()
        assert bytes_used(tree) == SPACE
        file.close()
        node.release()
        assert tree.ledger.totals == scanned(folder / "export")


def test_a_limit_that_is_met_again_and_again_is_not_counted_each_time(folder: Path) -> None:
    (folder / "export/file").write_bytes(bytes(SPACE))
    with quota(folder / "export", folder / "q", max_space=SPACE) as tree:
        tree.wait_until_counted()
        (folder / "export/file").unlink()
        for _ in range(10):
            with refused(errno.ENOSPC):
                tree.mkdir(tree.root, b"dir", 0o700, NOBODY)
        assert tree._counting._thread is not None
        tree._counting._join()
        assert bytes_used(tree) == SPACE


def test_what_cannot_be_counted_cannot_grow(export: Path, tmp_path: Path) -> None:
    (export / "locked").mkdir()
    with unprivileged():
        guest = os.geteuid()
    for path in (export, export / "locked"):
        os.chown(path, guest, -1)
    os.chmod(export / "locked", 0)
    local = LocalTree(str(export))
    tree = with_quota(local, max_space=SPACE, interval=3600)
    with unprivileged():
        locked = tree.lookup(tree.root, b"locked")
        for _ in range(2):
            with refused(errno.EACCES):
                tree.mkdir(tree.root, b"dir", 0o700, NOBODY)
        tree.setattr(locked, None, Changes(mode=0o700))
        # It is not looked at again at once.
        with refused(errno.EACCES):
            tree.mkdir(tree.root, b"dir", 0o700, NOBODY)
        tree._counting._ended_at -= 3600
        tree.mkdir(tree.root, b"dir", 0o700, NOBODY)
        locked.release()
    tree.close()


def test_without_a_thread_to_count_in_nothing_grows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    (folder / "export" / "file").touch()
    with quota(folder / "export", folder / "q", max_files=FILES, interval=0) as tree:
        held = Holder(tree)
        with monkeypatch.context() as dom0:
            dom0.setattr(Thread, "start", none_left)
            held.lookup(b"file")
            with refused(errno.EAGAIN):
                held.create(b"new")
        held.create(b"new")
        held.release()
    with (
        quota(folder / "export", folder / "q", max_files=FILES) as tree,
        monkeypatch.context() as dom0,
    ):
        dom0.setattr(Thread, "start", none_left)
        tree.lookup(tree.root, b"new").release()


def test_a_tree_that_never_stands_still_is_busy(folder: Path) -> None:
    with quota(folder / "export", folder / "q", max_space=SPACE) as tree:
        tree._counting._stopping.set()  # so that each count gives up
        with refused(errno.EBUSY):
            tree.mkdir(tree.root, b"dir", 0o700, NOBODY)


def test_nodes_outlive_the_tree(folder: Path) -> None:
    with quota(folder / "export", folder / "q", max_space=SPACE) as tree:
        tree.mkdir(tree.root, b"dir", 0o700, NOBODY)
        node = tree.lookup(tree.root, b"dir")
        above = tree.parent(node)
        assert above.qid.path == tree.root.qid.path
    above.release()
    assert stat.S_ISDIR(os.fstat(node.fd).st_mode)
    node.release()


def test_removing_works_without_a_descriptor_to_spare(held: Holder) -> None:
    tree = quota_of(held)
    node, file = tree.create(tree.root, b"file", os.O_RDWR, 0o600, NOBODY)
    slots = node.descriptors
    spare = slots.capacity - slots.used
    slots.take(spare)
    tree.rename(tree.root, b"file", tree.root, b"moved")
    tree.unlink(tree.root, b"moved", directory=False)
    slots.give(spare)
    run_now(closing) if (closing := file.closing()) else file.close()
    node.release()
    assert bytes_used(tree) < UNIT


def test_a_file_without_a_name_counts_and_gets_one(held: Holder) -> None:
    tree = quota_of(held)
    held.create(b"old")
    node, file = tree.create_unnamed(tree.root, b"old", os.O_RDWR, 0o600, NOBODY)
    held.node(node)
    held.file(file)
    write(file, bytes(100 * KIB))
    assert (bytes_used(tree), tree.ledger.totals.files) == (100 * KIB, 2)
    tree.publish(node, tree.root, b"old")
    tree.unlink(tree.root, b"old", directory=False)
    gone, abandoned = tree.create_unnamed(tree.root, b"x", os.O_RDWR, 0o600, NOBODY)
    write(abandoned, bytes(100 * KIB))
    abandoned.close()
    gone.release()
    assert bytes_used(tree) == 100 * KIB
    for number in range(FILES - 2):
        held.create(b"%d" % number)
    with refused(errno.EDQUOT):
        tree.create_unnamed(tree.root, b"x", os.O_RDWR, 0o600, NOBODY)


def test_locks_keep_a_file_on_disk(held: Holder) -> None:
    tree = quota_of(held)
    node, file = tree.create(tree.root, b"file", os.O_RDWR, 0o600, NOBODY)
    write(file, bytes(100 * KIB))
    locks = tree.open_for_locks(node, os.O_RDWR)
    tree.unlink(tree.root, b"file", directory=False)
    file.close()
    node.release()
    assert bytes_used(tree) == 100 * KIB
    locks.close()
    assert bytes_used(tree) == 0


def test_offsets_beyond_any_file_are_refused_near_the_limit_too(held: Holder) -> None:
    _node, file = held.create(b"file")
    for offset in (1 << 63, (1 << 64) - 1):
        with refused(errno.EFBIG):
            write(file, b"x", offset)
    outcome(lambda: write(file, b"xy", (1 << 63) - 1), errno.EFBIG, errno.EINVAL)
    with refused(errno.EBADF):
        write(held.open(b"file"), b"x")
    assert bytes_used(quota_of(held)) <= 4 * KIB


def test_counts_that_come_to_nothing_have_their_pause_too(folder: Path) -> None:
    (folder / "export/file").write_bytes(bytes(SPACE))
    with quota(folder / "export", folder / "q", max_space=SPACE, interval=3600) as tree:
        tree.wait_until_counted()
        tree._counting._ended_at = float("-inf")
        tree.ledger.words[at.COUNTED_AT] -= 4_000_000
        tree._counting._stopping.set()  # so that each count gives up
        threads = set()
        for _ in range(5):
            with refused(errno.ENOSPC):
                tree.mkdir(tree.root, b"dir", 0o700, NOBODY)
            tree._counting._join()
            threads.add(tree._counting._thread)
        assert len(threads) == 1
