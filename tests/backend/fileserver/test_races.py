"""What others do meanwhile: nothing outside is ever reached, and no descriptor is lost."""

from __future__ import annotations

import errno
import os
import resource
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import pytest

from backend.fileserver.creating import MAX_CREATE_TRIES
from backend.fileserver.files import NOBODY
from backend.fileserver.limits import Slots
from backend.fileserver.local_tree import LocalTree
from protocol.ninep.flags import DOTL_DIRECTORY, DOTL_RDWR, DOTL_TRUNC
from protocol.ninep.messages import Twalk

from .client import ROOT, SECRET, TAG, Client, outcome, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backend.fileserver.files import Node
    from protocol.ninep.ids import Fid


class Meddler(threading.Thread):
    """Does something to the tree over and over, as fast as it can."""

    def __init__(self, meddle: Callable[[], None]) -> None:
        super().__init__()
        self._meddle = meddle
        self._enough = threading.Event()
        self.rounds = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self._enough.is_set():
                self._meddle()
                self.rounds += 1
        except OSError as error:
            self.error = error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._enough.set()
        self.join()
        assert self.error is None


def until(done: Callable[[], bool], step: Callable[[], None]) -> None:
    """Repeat ``step`` at least 500 times, until ``done``; fail after 30 seconds."""
    deadline = time.monotonic() + 30
    rounds = 0
    while rounds < 500 or not done():
        step()
        rounds += 1
        assert time.monotonic() < deadline, f"{rounds} rounds"


def clunk_all(client: Client) -> None:
    for fid in client.in_use() - {ROOT}:
        client.clunk(fid)


def test_a_directory_that_turns_into_a_link_leads_nowhere(client: Client, export: Path) -> None:
    (export / "place/inner").mkdir(parents=True)
    (export / "place/secret").write_bytes(b"allowed")
    (export / "link").symlink_to("..")
    (export.parent / "inner").mkdir()

    def swap() -> None:
        (export / "place").rename(export / "directory")
        (export / "link").rename(export / "place")
        (export / "place").rename(export / "link")
        (export / "directory").rename(export / "place")

    seen: set[int] = set()

    def step() -> None:
        fid = client.fid()
        request = Twalk(TAG, ROOT, fid, (b"place", b"secret"))
        code, reply = outcome(lambda: client.call(request), errno.ENOENT)
        if code:
            return
        seen.add(len(reply.wqids))
        if len(reply.wqids) == 2:
            assert client.read(client.open(fid=fid), 100) == b"allowed"
        code, place = outcome(lambda: client.walk(b"place"), errno.ENOENT)
        if not code:
            outcome(lambda: client.create(b"x", fid=place), errno.ENOTDIR)
        clunk_all(client)

    with Meddler(swap):
        until(lambda: {1, 2} <= seen, step)
    assert {path.name for path in export.parent.iterdir()} == {"export", "secret", "inner"}
    assert (export.parent / "secret").read_bytes() == SECRET


def test_a_file_that_turns_into_a_link_or_fifo_is_never_opened(
    client: Client, export: Path
) -> None:
    (export / "kept").write_bytes(b"allowed")

    def swap() -> None:
        os.link(export / "kept", export / "n1")
        (export / "n1").rename(export / "name")
        (export / "n2").symlink_to("../secret")
        (export / "n2").rename(export / "name")
        os.mkfifo(export / "n3")
        (export / "n3").rename(export / "name")

    seen: set[int] = set()

    def opening() -> Fid:
        return client.open(b"name", flags=DOTL_RDWR)

    def creating() -> Fid:
        return client.create(b"name")

    def step() -> None:
        for attempt in (opening, creating):
            code, fid = outcome(attempt, errno.ELOOP, errno.ENXIO)
            seen.add(code)
            if not code:
                assert client.read(fid, 100) == b"allowed"
                client.clunk(fid)

    swap()
    with Meddler(swap):
        until(lambda: {0, errno.ELOOP, errno.ENXIO} <= seen, step)
    assert (export.parent / "secret").read_bytes() == SECRET


def test_a_climb_while_the_tree_is_turned_over_ends_within(client: Client, export: Path) -> None:
    (export / "a/b/c").mkdir(parents=True)
    (export / "other").mkdir()
    within = {path.stat().st_ino for path in [export, *export.rglob("*")]}

    def move() -> None:
        (export / "a/b").rename(export / "other/b")
        (export / "other/b").rename(export.parent / "b")  # out of the export
        (export.parent / "b").rename(export / "a/b")

    deep = client.walk(b"a", b"b", b"c")
    seen: set[int] = set()

    def step() -> None:
        code, fid = outcome(lambda: client.walk(b"..", b"..", fid=deep), errno.EACCES)
        seen.add(code)
        if not code:
            assert client.getattr(fid).qid.path in within
            client.clunk(fid)

    with Meddler(move):
        until(lambda: {0, errno.EACCES} <= seen, step)


class RacingTree(LocalTree):
    """A neighbour takes the name away each time ``create`` has found it taken, ``times`` over."""

    times = 1

    def lookup(self, parent: Node, name: bytes) -> Node:
        if not self.times:
            return super().lookup(parent, name)
        self.times -= 1
        os.unlink(name, dir_fd=parent.fd)
        try:
            return super().lookup(parent, name)
        finally:
            if self.times:
                os.mknod(name, dir_fd=parent.fd)


@pytest.mark.parametrize("times", [1, 2, MAX_CREATE_TRIES])
def test_create_starts_again_when_the_name_goes(export: Path, times: int) -> None:
    (export / "name").write_bytes(b"old")
    tree = RacingTree(str(export), Slots("descriptors", 10))
    tree.times = times
    if times < MAX_CREATE_TRIES:
        node, file = tree.create(tree.root, b"name", os.O_RDWR, 0o600, NOBODY)
        assert tree.getattr(node)[1].st_size == 0
        file.close()
        node.release()
    else:
        with refused(errno.ESTALE):
            tree.create(tree.root, b"name", os.O_RDWR, 0o600, NOBODY)
    assert tree._descriptors.used == 1
    tree.close()


def hold_all(held: list[int]) -> None:
    while True:
        held.append(os.dup(0))


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """The process can open so many descriptors more: its own limit, below all of ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    held: list[int] = []
    try:
        with refused(errno.EMFILE):
            hold_all(held)
        for _ in range(count):
            os.close(held.pop())
        yield
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_without_descriptors_recovers(client: Client, export: Path) -> None:
    (export / "dir").mkdir()
    (export / "file").write_bytes(b"data")
    slots = client.local._descriptors
    walked = client.walk(b"file")
    opened = client.open(b"file")
    used = slots.used
    attempts: list[tuple[int, Callable[[], Any]]] = [
        (0, lambda: client.walk(b"dir")),
        (0, lambda: client.open(fid=walked)),
        (0, lambda: client.mkdir(b"new")),
        (0, lambda: client.create(b"created", flags=DOTL_RDWR | DOTL_TRUNC)),
        (1, lambda: client.create(b"created2")),
        (0, lambda: client.truncate(walked, 0)),
        (0, lambda: client.fsync(opened)),
        (0, lambda: LocalTree(str(export))),
        (1, lambda: LocalTree(str(export))),
    ]
    for left, attempt in attempts:
        with descriptors_left(left), refused(errno.EMFILE):
            attempt()
        assert slots.used == used
    assert client.read(opened, 10) == b"data"
    client.open(b"dir", flags=DOTL_DIRECTORY)
