"""Several processes serve one root: their limits hold together, and outlive any of them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.fileserver import ledger_file as at
from backend.fileserver.census import Found
from backend.fileserver.files import NOBODY
from backend.fileserver.inode_table import UNIT
from backend.fileserver.ledger import Ledger, Totals
from backend.fileserver.ledger_file import MAX_WORKERS
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.forwarding import ForwardingTree
from backend.fileserver.policies.quota import QuotaTree

from ..client import refused
from ..quotas import needs_ram, quota, scanned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.fileserver.files import File, Node, Owner
    from protocol.ninep.messages import Qid

GUEST = Path(__file__).with_name("quota_guest.py")
MAX_SPACE = 2 << 20
MAX_FILES = 90

Guest = subprocess.Popen[str]

pytestmark = needs_ram


class Guests:
    """Processes of ``quota_guest.py``."""

    def __init__(self, export: Path, ledgers: Path) -> None:
        self.export, self.ledgers = export, ledgers
        self.started: list[Guest] = []

    def start(self, task: str, name: str, *, max_space: int = MAX_SPACE) -> Guest:
        arguments = (task, self.export, self.ledgers, max_space, MAX_FILES, name)
        guest = subprocess.Popen(
            [sys.executable, str(GUEST), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(guest)
        self.hears(guest, "ready")
        return guest

    def go(self, guest: Guest) -> None:
        assert guest.stdin is not None
        guest.stdin.write("\n")
        guest.stdin.flush()

    def hears(self, guest: Guest, word: str) -> str:
        assert guest.stdout is not None
        line = guest.stdout.readline().strip()
        assert line.startswith(word)
        return line

    def close(self) -> None:
        for guest in self.started:
            guest.kill()
            guest.communicate()


@pytest.fixture
def export(folder: Path) -> Path:
    return folder / "export"


@pytest.fixture
def ledgers(folder: Path) -> Path:
    return folder / "ledgers"


@pytest.fixture
def guests(export: Path, ledgers: Path) -> Iterator[Guests]:
    running = Guests(export, ledgers)
    yield running
    running.close()


@pytest.mark.parametrize("task", ["fill", "share"])
def test_processes_that_write_at_the_limit_stay_within_it(
    export: Path, ledgers: Path, guests: Guests, task: str
) -> None:
    running = [guests.start(task, "x" * number) for number in range(1, 5)]
    for guest in running:
        guests.go(guest)
    with quota(export, ledgers, max_space=1 << 40) as tree:
        tree.wait_until_counted()
        for guest in running:
            if task == "fill":
                assert int(guests.hears(guest, "full").split()[1]) > 10
            guests.hears(guest, "done")
            assert guest.wait(30) == 0
        totals = tree.ledger.totals
        assert not tree.ledger.stale
    assert totals == scanned(export)
    assert totals.space * UNIT <= MAX_SPACE
    assert totals.files <= MAX_FILES


def test_what_a_killed_worker_held_comes_free(export: Path, ledgers: Path, guests: Guests) -> None:
    with quota(export, ledgers, max_space=MAX_SPACE) as tree:
        tree.wait_until_counted()
        empty = tree.ledger.totals
        guest = guests.start("orphan", "orphan")
        guests.go(guest)
        guests.hears(guest, "holding")
        held = tree.ledger.totals
        assert held.space - empty.space >= 200_000 // UNIT
        assert held.files == empty.files + 1
        guests.go(guest)
        guest.wait(30)
        assert tree.ledger.totals == held
        tree.ledger.bury()
        assert (tree.ledger.totals, tree.ledger.stale) == (empty, True)
        # Two devices of one guest must not keep each other's orphans: here both hold it.
        guest = guests.start("orphan", "other")
        guests.go(guest)
        guests.hears(guest, "holding")
        with quota(export, ledgers) as third:
            assert third.ledger.totals == tree.ledger.totals


def test_an_orphan_stays_counted_while_another_worker_holds_it(export: Path, ledgers: Path) -> None:
    with quota(export, ledgers, max_space=MAX_SPACE) as one, quota(export, ledgers) as two:
        node, file = one.create(one.root, b"file", os.O_RDWR, 0o600, NOBODY)
        file.write([memoryview(bytes(100_000))], 0)
        other = two.lookup(two.root, b"file")
        full = one.ledger.totals
        one.unlink(one.root, b"file", directory=False)
        file.close()
        node.release()
        assert one.ledger.totals == two.ledger.totals == full
        # It may even grow, by somebody who opens it now.
        late = two.open(other, os.O_RDWR)
        late.write([memoryview(bytes(100_000))], 100_000)
        late.close()
        assert one.ledger.totals.space >= full.space + 190
        other.release()
        assert one.ledger.totals == scanned(export)


def test_a_worker_killed_amid_a_change_leaves_a_usable_ledger(
    export: Path, ledgers: Path, guests: Guests
) -> None:
    with quota(export, ledgers, max_space=MAX_SPACE) as tree:
        node, file = tree.create(tree.root, b"mine", os.O_RDWR, 0o600, NOBODY)
        tree.unlink(tree.root, b"mine", directory=False)
        file.write([memoryview(bytes(5000))], 0)
        for number in range(3):
            guest = guests.start("tear", f"torn-{number}")
            guests.go(guest)
            guest.wait(30)
            assert tree.ledger.words[at.BUSY] == 1
            if number == 2:
                Ledger(str(ledgers), tree.root.fd).close()
            file.write([memoryview(bytes(5000))], 5000 * number)
            assert tree.ledger.stale
        expected = scanned(export)
        status = os.fstat(node.fd)
        assert tree.ledger.totals == Totals(expected.space + status.st_blocks, expected.files + 1)
        file.close()
        node.release()
        assert tree.ledger.totals == expected


def test_a_new_worker_counts_again_after_one_was_killed(
    export: Path, ledgers: Path, guests: Guests
) -> None:
    with quota(export, ledgers, max_space=MAX_SPACE) as tree:
        tree.wait_until_counted()
        guest = guests.start("orphan", "x")
        guest.kill()
        guest.wait(30)
        (export / "behind our back").write_bytes(bytes(50_000))
        with quota(export, ledgers) as second:
            assert bool(second.ledger.words[at.STALE])
            second.lookup(second.root, b"behind our back").release()
            second._counting._join()
            assert not second.ledger.stale
            assert tree.ledger.totals == scanned(export)


def test_totals_are_counted_once_for_all_and_anew_after_the_last_has_gone(
    export: Path, ledgers: Path
) -> None:
    (export / "old").write_bytes(bytes(100_000))
    with quota(export, ledgers) as one:
        assert not one.ledger.counted
        one.wait_until_counted()
        counted_at = one.ledger.words[at.COUNTED_AT]
        with quota(export, ledgers) as two:
            two.wait_until_counted()
            two.statfs(two.root)
            assert two.ledger.words[at.COUNTED_AT] == counted_at
    (export / "old").unlink()
    with quota(export, ledgers) as three:
        assert not three.ledger.counted
        three.wait_until_counted()
        assert three.ledger.totals == scanned(export)


def test_limits_may_differ(export: Path, ledgers: Path) -> None:
    with (
        quota(export, ledgers, max_files=1) as small,
        quota(export, ledgers, max_files=2) as large,
    ):
        small.mkdir(small.root, b"a", 0o700, NOBODY)
        with refused(errno.EDQUOT):
            small.mkdir(small.root, b"b", 0o700, NOBODY)
        large.mkdir(large.root, b"b", 0o700, NOBODY)
        with refused(errno.EDQUOT):
            large.mkdir(large.root, b"c", 0o700, NOBODY)
        large.unlink(large.root, b"a", directory=True)
        assert small.ledger.totals == large.ledger.totals == scanned(export)


def test_there_is_room_for_so_many_workers(export: Path, ledgers: Path) -> None:
    fd = os.open(export, os.O_PATH)
    joined = [Ledger(str(ledgers), fd) for _ in range(MAX_WORKERS)]
    with pytest.raises(OSError, match="62 devices share this directory already"):
        Ledger(str(ledgers), fd)
    joined.pop().close()
    joined.append(Ledger(str(ledgers), fd))
    # What another version wrote is left alone as long as somebody uses it.
    joined[0].words[at.MAGIC] = 7
    joined.pop().close()
    with pytest.raises(OSError, match="another version of this program"):
        Ledger(str(ledgers), fd)
    while joined:
        joined.pop().close()
    Ledger(str(ledgers), fd).close()
    os.close(fd)


def test_many_held_files_need_a_larger_table(export: Path, ledgers: Path) -> None:
    for number in range(1200):
        (export / str(number)).touch()
    with quota(export, ledgers) as one, quota(export, ledgers) as two:
        nodes = [one.lookup(one.root, b"%d" % number) for number in range(1200)]
        shared = two.lookup(two.root, b"7")
        assert two.ledger.words[at.TABLE] > 2048
        for number in range(1200):
            two.unlink(two.root, b"%d" % number, directory=False)
        assert two.ledger.totals.files == 1200
        for node in nodes:
            node.release()
        assert two.ledger.totals.files == 1
        shared.release()
        assert one.ledger.totals == scanned(export)


def test_a_ledger_that_was_tampered_with_is_an_error(export: Path, ledgers: Path) -> None:
    (export / "file").touch()
    with quota(export, ledgers) as one:
        one.wait_until_counted()
        sane = one.ledger.words[at.TABLE]
        for wrong in (0, 1000, 3 << 10, 1 << 40):
            one.ledger.words[at.TABLE] = wrong
            with refused(errno.EMFILE):
                one.lookup(one.root, b"file")
            with refused(errno.EMFILE):
                one.unlink(one.root, b"file", directory=False)
            with refused(errno.EMFILE):
                one.create(one.root, b"new", os.O_RDWR, 0o600, NOBODY)
            (export / "new").unlink()
        one.ledger.words[at.TABLE] = sane
        one.lookup(one.root, b"file").release()


def test_a_count_by_another_worker_will_do(export: Path, ledgers: Path) -> None:
    with quota(export, ledgers) as one, quota(export, ledgers) as two:
        (export / "file").touch()
        assert one.ledger._file.try_counting()
        two.lookup(two.root, b"file").release()  # begins to count, and has to wait
        one.ledger._file.end_counting()
        two._counting._join()
        assert two.ledger.totals == scanned(export)

        assert one.ledger._file.try_counting()
        two._counting._start(again=True)
        two._counting.stop()  # gives up waiting
        one.ledger._file.end_counting()
        counted_at = two.ledger.words[at.COUNTED_AT]

        def counts_itself() -> bool:
            one.ledger.words[at.COUNTED_AT] += 1
            one.ledger._file.end_counting()
            return False

        assert one.ledger._file.try_counting()
        two.ledger.count(lambda _held: pytest.fail("counted twice"), counts_itself)
        assert two.ledger.words[at.COUNTED_AT] == counted_at + 1


def test_what_changes_during_a_count_leaves_the_total_in_doubt(export: Path, ledgers: Path) -> None:
    (export / "dir").mkdir()
    (export / "known").write_bytes(bytes(100_000))
    with quota(export, ledgers) as tree:
        tree.wait_until_counted()
        gone, orphan = tree.create(tree.root, b"gone", os.O_RDWR, 0o600, NOBODY)
        tree.unlink(tree.root, b"gone", directory=False)
        before = tree.ledger.totals

        def count(held: frozenset[int]) -> Found:
            # What it saw is off by these: the truth lies between, and is not guessed at.
            tree.mkdir(tree.root, b"during", 0o700, NOBODY)
            node, file = tree.create(tree.root, b"new", os.O_RDWR, 0o600, NOBODY)
            file.write([memoryview(bytes(50_000))], 0)
            nodes.append((node, file))
            assert os.stat(export).st_ino in held
            return Found(before.space - 50, before.files, {os.stat(export).st_ino: 0}, [])

        nodes: list[tuple[Node, File]] = []
        tree.ledger.count(count, lambda: True, again=True)
        orphan.close()
        gone.release()
        assert tree.ledger.totals == scanned(export)
        for node, file in nodes:
            file.close()
            node.release()
        assert tree.ledger.totals == scanned(export)


def test_a_file_of_another_file_system_has_a_key_that_all_workers_share(
    export: Path, ledgers: Path
) -> None:
    with (
        quota(export, ledgers) as one,
        quota(export, ledgers) as two,
        open("/proc/self/stat", "rb") as elsewhere,
    ):
        fd = elsewhere.fileno()
        keys = {ledger.key(1 << 48 | 5, fd) for ledger in (one.ledger, two.ledger)}
        assert keys == {one.ledger.key_of(os.fstat(fd))}
        assert keys.pop() >> 63 == 1


def test_a_file_whose_last_name_goes_before_it_is_held_is_counted_again(
    export: Path, ledgers: Path
) -> None:
    with quota(export, ledgers) as tree:
        tree.wait_until_counted()
        with open(export / "file", "wb") as file:
            file.write(bytes(10_000))
            file.flush()
            (export / "file").unlink()
            empty = tree.ledger.totals
            tree.ledger.hold(77, file.fileno())
            status = os.fstat(file.fileno())
            assert tree.ledger.totals == (empty.space + status.st_blocks, empty.files + 1)
            tree.ledger.let_go(77, os.dup(file.fileno()))
            assert tree.ledger.totals == empty


class Vanishing(ForwardingTree):
    """As if somebody in Dom0 were quicker."""

    def mkdir(self, parent: Node, name: bytes, mode: int, owner: Owner) -> Qid:
        qid = super().mkdir(parent, name, mode, owner)
        os.rmdir(name, dir_fd=parent.fd)
        return qid


def test_what_is_gone_as_soon_as_it_is_made_counts_until_the_next_count(
    export: Path, ledgers: Path
) -> None:
    local = LocalTree(str(export))
    tree = QuotaTree(Vanishing(local), Ledger(str(ledgers), local.root.fd), max_files=5)
    tree.mkdir(tree.root, b"dir", 0o700, NOBODY)
    assert tree.ledger.totals.files == 1
    tree._counting._start(again=True)
    tree._counting._join()
    assert tree.ledger.totals == scanned(export)
    tree.close()
