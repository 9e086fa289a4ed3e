"""``commit=atomic``: Dom0 sees a file whole or not at all, the guest sees what it wrote."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.deferred import resume, run_now
from backend.fileserver.files import NOBODY, Changes, Device
from backend.fileserver.handlers import HANDLERS
from backend.fileserver.limits import Slots
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.atomic_commit import AtomicCommitTree
from backend.fileserver.policies.mapped_xattr import MappedXattrTree
from backend.fileserver.unnamed import HIDDEN_PREFIX
from backend.share import Commit, NamedFile, Share
from protocol.ninep.flags import (
    AT_REMOVEDIR,
    DOTL_APPEND,
    DOTL_EXCL,
    DOTL_RDONLY,
    DOTL_RDWR,
    DOTL_TRUNC,
    DOTL_WRONLY,
)
from protocol.ninep.messages import Tclunk
from tests.backend.fileserver.client import ROOT, TAG, Client, refused
from tests.backend.fileserver.disk import WatchedDisk
from tests.backend.fileserver.holder import Holder
from tests.backend.fileserver.policies.share_client import ShareClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.fileserver.deferred import Deferred
    from protocol.ninep.ids import Fid


@pytest.fixture(params=["O_TMPFILE", "hidden names"])
def _kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "hidden names":
        # What is left of the flag for a kernel that does not know it: EISDIR.
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)


@pytest.fixture
def disk() -> WatchedDisk:
    return WatchedDisk()


@pytest.fixture
def client(_kernel: None, export: Path, disk: WatchedDisk) -> Iterator[Client]:
    client = Client(str(export), wrap=lambda local: AtomicCommitTree(disk.wrap(local)))
    client.mount()
    yield client
    client.close()
    assert hidden(export) == set()


def hidden(export: Path) -> set[bytes]:
    return {name for name in map(os.fsencode, os.listdir(export)) if is_hidden(name)}


def is_hidden(name: bytes) -> bool:
    return name.startswith(HIDDEN_PREFIX)


def dom0(folder: Path) -> dict[str, bytes]:
    """What Dom0 has under names of files."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and not is_hidden(os.fsencode(path.name))
    }


def truncated(client: Client, name: bytes, how: str) -> Fid:
    """A fid of an existing file that is to be written anew."""
    if how == "Tlopen":
        return client.open(name, flags=DOTL_WRONLY | DOTL_TRUNC)
    if how == "Tlcreate":
        return client.create(name, DOTL_WRONLY | DOTL_TRUNC)
    fid = client.open(name, flags=DOTL_WRONLY)
    try:
        client.truncate(fid, 0)
    except OSError:
        client.clunk(fid)
        raise
    return fid


def content(client: Client, *names: bytes) -> bytes:
    fid = client.open(*names)
    try:
        return client.read(fid, 100)
    finally:
        client.clunk(fid)


anew = pytest.mark.parametrize("how", ["Tlopen", "Tlcreate", "Tsetattr"])


def test_a_new_file_appears_when_it_is_closed(
    client: Client, export: Path, disk: WatchedDisk
) -> None:
    fid = client.create(b"file", DOTL_RDWR, 0o640, data=b"first")
    assert dom0(export) == {}
    assert client.names() == {b"file"}
    walked = client.walk(b"file")
    for each in (fid, walked):
        found = client.getattr(each)
        assert (found.nlink, found.size, stat.S_IMODE(found.mode)) == (1, 5, 0o640)
    assert content(client, b"file") == b"first"
    with refused(errno.EEXIST):
        client.create(b"file", DOTL_RDWR | DOTL_EXCL)
    client.write(fid, b" second", 5)
    assert disk.synced == []
    client.clunk(fid)
    assert dom0(export) == {"file": b"first second"}
    assert disk.synced == ["file", "directory"]
    assert client.getattr(walked).qid.path == (export / "file").stat().st_ino
    assert client.names() == {b"file"}


@anew
def test_a_file_is_replaced_when_it_is_closed(client: Client, export: Path, how: str) -> None:
    (export / "file").write_bytes(b"a long old content")
    walked, reading = client.walk(b"file"), client.open(b"file")
    fid = truncated(client, b"file", how)
    client.write(fid, b"new")
    assert dom0(export) == {"file": b"a long old content"}
    assert content(client, b"file") == b"new"
    assert {client.getattr(each).size for each in (fid, walked)} == {3}
    assert client.names() == {b"file"}
    client.clunk(fid)
    assert dom0(export) == {"file": b"new"}
    assert client.read(client.open(fid=walked), 100) == b"new"
    assert client.read(reading, 100) == b"a long old content"


@anew
def test_a_replacement_keeps_mode_owner_and_attributes_and_other_names_the_old_file(
    client: Client, export: Path, how: str, user_attributes: None
) -> None:
    path = export / "file"
    path.write_bytes(b"old")
    os.link(path, export / "other")
    path.chmod(0o604)
    os.setxattr(path, "user.a", b"1")
    before = path.stat()
    fid = truncated(client, b"file", how)
    client.write(fid, b"new")
    client.clunk(fid)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert os.getxattr(path, "user.a") == b"1"
    assert dom0(export) == {"file": b"new", "other": b"old"}


@pytest.mark.parametrize("first", [0, 1])
def test_the_last_of_several_writers_publishes(client: Client, export: Path, first: int) -> None:
    writers = [client.create(b"file", data=b"one"), client.open(b"file", flags=DOTL_RDWR)]
    client.write(writers[1], b"two", 3)
    client.clunk(writers.pop(first))
    assert dom0(export) == {}
    client.write(writers[0], b"three", 6)
    client.clunk(writers[0])
    assert dom0(export) == {"file": b"onetwothree"}


def test_what_is_pending_may_be_truncated_again(client: Client, export: Path) -> None:
    first = client.create(b"file", data=b"a long first try")
    second = client.open(b"file", flags=DOTL_RDWR | DOTL_TRUNC)
    client.write(second, b"short")
    client.truncate(first, 2)
    client.clunk(second)
    client.clunk(first)
    assert dom0(export) == {"file": b"sh"}


def test_what_is_not_truncated_is_changed_in_place(client: Client, export: Path) -> None:
    (export / "file").write_bytes(b"0123456789")
    inode = (export / "file").stat().st_ino
    fid = client.open(b"file", flags=DOTL_RDWR)
    client.write(fid, b"abc", 2)
    assert dom0(export) == {"file": b"01abc56789"}
    client.truncate(fid, 0)  # after a write: no new beginning
    client.clunk(fid)
    client.clunk(client.open(b"file", flags=DOTL_RDONLY | DOTL_TRUNC))
    client.truncate(client.walk(b"file"), 0)
    client.truncate(client.open(b"file", flags=DOTL_WRONLY), 4)
    assert dom0(export) == {"file": bytes(4)}
    assert (export / "file").stat().st_ino == inode


def test_among_writers_that_have_written_a_truncation_is_in_place(
    client: Client, export: Path
) -> None:
    (export / "file").write_bytes(b"0123456789")
    other = client.open(b"file", flags=DOTL_RDWR)
    client.write(other, b"x")
    fid = client.open(b"file", flags=DOTL_WRONLY | DOTL_TRUNC)
    assert dom0(export) == {"file": b""}
    client.write(other, b"y")
    client.clunk(fid)
    assert dom0(export) == {"file": b"y"}


def test_a_writer_by_another_name_keeps_its_file(client: Client, export: Path) -> None:
    (export / "file").write_bytes(b"0123456789")
    os.link(export / "file", export / "twin")
    client.open(b"twin", flags=DOTL_RDWR)
    client.open(b"file", flags=DOTL_WRONLY | DOTL_TRUNC)
    assert dom0(export) == {"file": b"", "twin": b""}


@anew
def test_a_second_fid_that_has_not_written_goes_along(
    client: Client, export: Path, how: str
) -> None:
    """Linux 6.1 with cache=loose opens one for writing back, before it truncates."""
    (export / "file").write_bytes(b"0123456789")
    writeback = client.open(b"file", flags=DOTL_RDWR | DOTL_APPEND)
    fid = truncated(client, b"file", how)
    client.write(writeback, b"new")
    assert dom0(export) == {"file": b"0123456789"}
    client.clunk(fid)
    client.clunk(writeback)
    assert dom0(export) == {"file": b"new"}


@anew
def test_a_session_that_ends_leaves_nothing_and_changes_nothing(
    client: Client, export: Path, how: str
) -> None:
    (export / "old").write_bytes(b"old")
    client.create(b"new", data=b"half of it")
    client.write(truncated(client, b"old", how), b"half")
    client.open(b"old", flags=DOTL_RDWR)
    client.mount()
    assert dom0(export) == {"old": b"old"}
    assert hidden(export) == set()
    assert client.names() == {b"old"}
    assert content(client, b"old") == b"old"


def test_one_writer_that_closed_does_not_speak_for_one_that_did_not(
    client: Client, export: Path
) -> None:
    fid = client.create(b"file", data=b"one")
    client.open(b"file", flags=DOTL_RDWR)
    client.clunk(fid)
    client.mount()
    assert dom0(export) == {}


@anew
def test_a_disk_that_fails_leaves_the_old_file_to_both(
    client: Client, export: Path, disk: WatchedDisk, how: str
) -> None:
    (export / "old").write_bytes(b"old")
    walked = client.walk(b"old")
    for name in (b"old", b"new"):
        fid = truncated(client, name, how) if name == b"old" else client.create(name)
        client.write(fid, b"data")
        disk.fail(errno.EIO, "file")
        with refused(errno.EIO):
            client.clunk(fid)
        disk.fail(0)
    assert dom0(export) == {"old": b"old"}
    assert client.names() == {b"old"}
    assert client.getattr(walked).size == 3
    fid = truncated(client, b"old", how)
    client.write(fid, b"better")
    client.clunk(fid)
    assert dom0(export) == {"old": b"better"}


@anew
def test_attributes_that_cannot_be_kept_keep_the_old_file(
    client: Client, export: Path, disk: WatchedDisk, how: str
) -> None:
    (export / "old").write_bytes(b"old")
    disk.fail(errno.EIO, "list")
    with refused(errno.EIO):
        truncated(client, b"old", how)
    assert content(client, b"old") == b"old"
    disk.fail(errno.EOPNOTSUPP, "list")  # a file system without them
    client.clunk(truncated(client, b"old", how))
    assert dom0(export) == {"old": b""}


def test_too_few_descriptors_for_all_writers_keep_the_old_file(export: Path) -> None:
    (export / "file").write_bytes(b"old")
    slots = Slots("descriptors", 9)
    held = Holder(AtomicCommitTree(LocalTree(str(export), slots)))
    node = held.lookup(b"file")
    writers = [held.file(held.tree.open(node, os.O_WRONLY)) for _ in range(3)]
    # The root, the file, three writers; the new file takes two, each writer but the first one more.
    slots.capacity = 8  # type: ignore[misc]
    with refused(errno.EMFILE):
        held.tree.setattr(node, writers[0], Changes(size=0))
    assert slots.used == 5
    assert dom0(export) == {"file": b"old"}
    slots.capacity = 9  # type: ignore[misc]
    held.tree.setattr(node, writers[0], Changes(size=0))
    held.release()
    assert dom0(export) == {"file": b""}
    held.tree.close()
    assert slots.used == 0


def test_a_writer_whose_close_fails_does_not_publish(
    client: Client, export: Path, disk: WatchedDisk
) -> None:
    first = client.create(b"file", data=b"first")
    second = client.open(b"file", flags=DOTL_RDWR)
    disk.fail(errno.EIO, "close")
    with refused(errno.EIO):
        client.clunk(second)
    disk.fail(0)
    client.clunk(first)
    assert dom0(export) == {}


def test_a_name_that_dom0_gave_to_a_directory_is_told(client: Client, export: Path) -> None:
    fid = client.create(b"file", data=b"data")
    (export / "file").mkdir()
    with refused(errno.EISDIR):
        client.clunk(fid)
    assert list((export / "file").iterdir()) == []


def test_a_directory_that_does_not_reach_the_disk_is_told(
    client: Client, export: Path, disk: WatchedDisk
) -> None:
    fid = client.create(b"file", data=b"data")
    disk.fail(errno.ENOSPC, "directory")
    with refused(errno.ENOSPC):
        client.clunk(fid)
    assert dom0(export) == {"file": b"data"}


def test_a_directory_that_dom0_removes_is_told(client: Client, export: Path) -> None:
    client.mkdir(b"dir")
    directory = client.walk(b"dir")
    fid = client.create(b"file", fid=directory, data=b"data")
    for path in (export / "dir").iterdir():
        path.unlink()
    (export / "dir").rmdir()
    with refused(errno.ENOENT):
        client.clunk(fid)
    with refused(errno.ENOENT):
        client.create(b"file", fid=directory)


def test_what_is_removed_while_it_is_written_does_not_appear(client: Client, export: Path) -> None:
    (export / "old").write_bytes(b"old")
    for name in (b"old", b"new"):
        fid = client.create(name, DOTL_RDWR | DOTL_TRUNC, data=b"data")
        with refused(errno.ENOTDIR):
            client.unlink(name, AT_REMOVEDIR)
        client.unlink(name)
        assert dom0(export) == {}
        assert client.names() == set()
        with refused(errno.ENOENT):
            client.walk(name)
        assert client.read(fid, 9) == b"data"
        again = client.create(name, data=b"again")
        client.clunk(fid)
        client.clunk(again)
        client.unlink(name)
    client.remove(client.create(b"third", data=b"x"))
    assert dom0(export) == {}


def test_a_rename_of_what_is_written(client: Client, export: Path) -> None:
    client.mkdir(b"dir")
    directory = client.walk(b"dir")
    (export / "old").write_bytes(b"old")
    (export / "dir" / "there").write_bytes(b"there")
    fid = client.create(b"new", data=b"new")
    client.rename(b"new", b"new")
    client.rename(b"new", b"there", to=directory)
    assert client.names() == {b"dir", b"old"}
    assert (dom0(export / "dir"), content(client, b"dir", b"there")) == (
        {"there": b"there"},
        b"new",
    )
    client.clunk(fid)
    assert dom0(export / "dir") == {"there": b"new"}
    fid = client.open(b"old", flags=DOTL_WRONLY | DOTL_TRUNC)
    client.write(fid, b"newer")
    client.rename(b"old", b"moved")
    assert dom0(export) == {"moved": b"old"}
    client.clunk(fid)
    assert dom0(export) == {"moved": b"newer"}


def test_a_rename_over_what_is_written(client: Client, export: Path) -> None:
    (export / "source").write_bytes(b"source")
    target = client.create(b"target", data=b"lost")
    with refused(errno.ENOTDIR):
        client.mkdir(b"dir")
        client.rename(b"dir", b"target")
    client.rename(b"source", b"target")
    assert dom0(export) == {"target": b"source"}
    source = client.create(b"source", data=b"better")
    other = client.open(b"target", flags=DOTL_WRONLY | DOTL_TRUNC)
    client.rename(b"source", b"target")
    for fid in (target, other, source):
        client.clunk(fid)
    assert dom0(export) == {"target": b"better"}


def test_where_a_rename_cannot_lead(client: Client, export: Path) -> None:
    for name in ("a", "b"):
        (export / name).mkdir()
    fid = client.create(b"file")
    with refused(errno.EISDIR):
        client.rename(b"file", b"a")
    with refused(errno.ENOTDIR):
        client.rename(b"file", b"x", to=fid)
    client.create(b"inside", fid=client.walk(b"b"))
    with refused(errno.ENOTEMPTY):
        client.rename(b"a", b"b")
    client.rename(b"b", b"b")
    with refused(errno.ENOENT):
        client.rename(b"missing", b"b")
    client.clunk(client.create(b"plain"))
    with refused(errno.EISDIR):
        client.rename(b"plain", b"b")
    with refused(errno.ENOTEMPTY):
        client.unlink(b"b", AT_REMOVEDIR)
    client.unlink(b"a", AT_REMOVEDIR)
    with refused(errno.ENOENT):
        client.unlink(b"a", AT_REMOVEDIR)


def test_the_name_of_what_is_written_is_taken(client: Client) -> None:
    tree, root = client.session.tree, client.session.tree.root
    fid = client.create(b"file")
    node = tree.lookup(root, b"file")
    for make in (
        partial(tree.mkdir, root, b"file", 0o755, NOBODY),
        partial(tree.symlink, root, b"file", b"x", NOBODY),
        partial(tree.mknod, root, b"file", stat.S_IFIFO, Device(0, 0), NOBODY),
        partial(tree.link, node, root, b"file"),
    ):
        with refused(errno.EEXIST):
            make()
    with refused(errno.EBUSY):
        tree.link(node, root, b"second")
    client.clunk(fid)
    tree.link(node, root, b"second")
    node.release()


def test_hidden_names_are_neither_seen_nor_made(client: Client, export: Path) -> None:
    secret = HIDDEN_PREFIX + b"0" * 32
    (export / os.fsdecode(secret)).write_bytes(b"left behind by a worker that was killed")
    (export / "file").touch()
    assert client.names() == {b"file"}
    for attempt in (
        partial(client.walk, secret),
        partial(client.unlink, secret),
        partial(client.rename, secret, b"x"),
    ):
        with refused(errno.ENOENT):
            attempt()
    with refused(errno.EACCES):
        client.create(secret)
    with refused(errno.EACCES):
        client.mkdir(secret)
    with refused(errno.EACCES):
        client.rename(b"file", secret)
    (export / os.fsdecode(secret)).unlink()


@pytest.mark.parametrize("room", [40, 1000])
def test_listings_have_each_name_once_and_resume_anywhere(
    client: Client, export: Path, room: int
) -> None:
    for number in range(5):
        (export / f"old{number}").touch()
    pending = [client.create(b"new%d" % number) for number in range(5)]
    pending.append(client.open(b"old3", flags=DOTL_WRONLY | DOTL_TRUNC))
    everything = client.entries(client.open(), room)
    names = [entry.name for entry in everything]
    assert len(names) == len(set(names)) == 10
    for entry in everything:
        assert client.getattr(client.walk(entry.name)).qid.path == entry.qid.path
    fid = client.open()
    for place, entry in enumerate(everything):
        after = [found.name for found in client.readdir(fid, entry.offset)]
        assert [name for name in after if name[0] != ord(".")] == names[place + 1 :]
    for offset in (1 << 63, 1 << 63 | 99):
        with refused(errno.EINVAL):
            client.readdir(fid, offset)
    (export / "new4").write_bytes(b"Dom0 was faster")
    assert len(client.names()) == 10
    for each in pending:
        client.clunk(each)
    assert (export / "new4").read_bytes() == b""


def test_what_is_created_for_reading_is_whole_at_once(client: Client, export: Path) -> None:
    fid = client.create(b"file", DOTL_RDONLY)
    assert dom0(export) == {"file": b""}
    with refused(errno.EEXIST):
        client.create(b"file", DOTL_RDONLY | DOTL_EXCL)
    assert client.read(fid, 9) == b""


def test_a_file_that_dom0_moved_is_truncated_where_it_is(client: Client, export: Path) -> None:
    (export / "file").write_bytes(b"data")
    (export / "gone").write_bytes(b"data")
    fids = [client.open(name, flags=DOTL_RDWR) for name in (b"file", b"gone")]
    (export / "file").rename(export / "moved")
    (export / "gone").rename(export / "away")
    (export / "gone").write_bytes(b"another")
    for fid in fids:
        client.truncate(fid, 0)
    assert dom0(export) == {"moved": b"", "away": b"", "gone": b"another"}
    assert content(client, b"gone") == b"another"
    unlinked = client.open(b"gone", flags=DOTL_RDWR)
    client.unlink(b"gone")
    client.truncate(unlinked, 0)


class TestWhileAClunkWaits:
    """The data are on their way to the disk, and the guest goes on."""

    def waiting(self, client: Client, fid: Fid) -> Deferred:
        steps = HANDLERS[Tclunk](client.session, Tclunk(TAG, fid))
        assert isinstance(steps, Generator)
        resume(steps, None)()
        return steps

    def test_the_file_is_opened_again(self, client: Client, export: Path) -> None:
        steps = self.waiting(client, client.create(b"file", data=b"first"))
        again = client.open(b"file", flags=DOTL_RDWR)
        client.write(again, b"second")
        run_now(steps)
        assert dom0(export) == {}
        client.clunk(again)
        assert dom0(export) == {"file": b"second"}

    def test_the_file_is_opened_again_and_closed_first(
        self, client: Client, export: Path, disk: WatchedDisk
    ) -> None:
        steps = self.waiting(client, client.create(b"file", data=b"first"))
        again = client.open(b"file", flags=DOTL_RDWR)
        client.write(again, b"second")
        client.clunk(again)
        assert dom0(export) == {"file": b"second"}
        run_now(steps)
        assert disk.synced == ["file", "file", "directory"]

    def test_the_file_is_opened_again_and_the_first_fails(
        self, client: Client, export: Path
    ) -> None:
        steps = self.waiting(client, client.create(b"file", data=b"first"))
        again = client.open(b"file", flags=DOTL_RDWR)
        with refused(errno.EIO):
            resume(steps, OSError(errno.EIO, "as a disk that dies"))
        client.clunk(again)
        assert dom0(export) == {"file": b"first"}

    def test_the_file_is_removed_or_renamed(self, client: Client, export: Path) -> None:
        removed = self.waiting(client, client.create(b"a", data=b"a"))
        renamed = self.waiting(client, client.create(b"b", data=b"b"))
        client.unlink(b"a")
        client.rename(b"b", b"c")
        run_now(removed)
        run_now(renamed)
        assert dom0(export) == {"c": b"b"}

    def test_the_session_ends(self, client: Client, export: Path) -> None:
        steps = self.waiting(client, client.create(b"file", data=b"whole"))
        client.mount()
        run_now(steps)
        assert dom0(export) == {"file": b"whole"}

    def test_nobody_goes_on(self, client: Client, export: Path) -> None:
        self.waiting(client, client.create(b"file", data=b"whole")).close()
        assert dom0(export) == {}


class TestNamedFiles:
    """What a stub domain gets."""

    @pytest.fixture
    def guest(self, _kernel: None, export: Path) -> Iterator[Client]:
        files = (
            NamedFile("save", str(export / "qemu-save.7"), writable=True),
            NamedFile("load", str(export / "restore.7"), writable=False),
        )
        guest = ShareClient(Share(files=files, commit=Commit.ATOMIC))
        yield guest
        guest.close()

    def test_a_save_appears_whole_and_a_shorter_one_leaves_no_tail(
        self, guest: Client, export: Path
    ) -> None:
        for data in (b"a long state", b"short"):
            before = dom0(export)
            if before:
                fid = truncated(guest, b"save", "Tsetattr")
            else:
                with refused(errno.ENOENT):
                    guest.walk(b"save")
                fid = guest.create(b"save", DOTL_WRONLY, 0o660)
            guest.write(fid, data)
            assert dom0(export) == before
            assert guest.names() == {b"save"}
            guest.clunk(fid)
            assert dom0(export) == {"qemu-save.7": data}
        guest.write(truncated(guest, b"save", "Tsetattr"), b"interrupted")
        guest.mount()
        assert dom0(export) == {"qemu-save.7": b"short"}

    def test_only_what_is_writable(self, guest: Client, export: Path) -> None:
        with refused(errno.EACCES):
            guest.create(b"load")
        with refused(errno.EACCES):
            guest.create(b"neighbour")
        (export / "restore.7").write_bytes(b"state")
        with refused(errno.EACCES):
            guest.open(b"load", flags=DOTL_WRONLY | DOTL_TRUNC)
        fid = guest.create(b"save", data=b"x")
        for name in (b"load", b"neighbour"):
            with refused(errno.EXDEV):
                guest.rename(b"save", name)
        guest.unlink(b"save")
        guest.clunk(fid)
        assert dom0(export) == {"restore.7": b"state"}
        assert guest.in_use() == {ROOT}


def test_owners_that_are_kept_in_attributes(
    export: Path, disk: WatchedDisk, user_attributes: None
) -> None:
    client = Client(
        str(export), wrap=lambda local: AtomicCommitTree(MappedXattrTree(disk.wrap(local)))
    )
    client.mount(n_uname=1000)
    for data in (b"first", b"second"):
        fid = client.create(b"file", DOTL_WRONLY | DOTL_TRUNC, 0o640, data=data, gid=1001)
        client.clunk(fid)
        found = client.getattr(client.walk(b"file"))
        assert (found.uid, found.gid, stat.S_IMODE(found.mode)) == (1000, 1001, 0o640)
        assert dom0(export) == {"file": data}
    disk.fail(errno.ENOSPC, "set")
    with refused(errno.ENOSPC):
        client.create(b"new")
    assert client.names() == {b"file"}
    client.close()
