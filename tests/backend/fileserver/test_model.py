"""Random operations through the server and on a plain directory: same answers, same tree.

The plain directory is worked on with ``os`` and path names, so that the two have nothing in common
but the kernel.  Each step compares result or errno, and at the end all content and metadata.
"""

from __future__ import annotations

import errno
import os
import random
import stat
from typing import TYPE_CHECKING, Any

import pytest

from protocol.ninep.flags import (
    AT_REMOVEDIR,
    DOTL_APPEND,
    DOTL_EXCL,
    DOTL_RDWR,
    DOTL_TRUNC,
    SETATTR_MODE,
    SETATTR_MTIME,
    SETATTR_MTIME_SET,
)

from .client import ROOT, Client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from protocol.ninep.ids import Fid

NAMES = [b"a", b"b", b"c"]
STEPS = 2_000


class Pair:
    """An open file on both sides."""

    def __init__(self, fid: Fid, fd: int) -> None:
        self.fid = fid
        self.fd = fd


class Model:
    def __init__(self, client: Client, mirror: Path, seed: int) -> None:
        self.client = client
        self.mirror = os.fsencode(mirror)
        self.random = random.Random(seed)
        self.open: list[Pair] = []

    def path(self) -> tuple[bytes, ...]:
        return tuple(self.random.choices(NAMES, k=self.random.randint(1, 3)))

    def local(self, path: tuple[bytes, ...]) -> bytes:
        return os.path.join(self.mirror, *path)

    def within(self, path: tuple[bytes, ...], body: Callable[[Fid], Any]) -> Any:
        """Do something in ``path``'s directory, which a path leads through only if it is one."""

        def checked(fid: Fid) -> Any:
            if not stat.S_ISDIR(self.client.getattr(fid).mode):
                raise OSError(errno.ENOTDIR, "not a directory")
            return body(fid)

        return self.at(path[:-1], checked)

    def at(self, path: tuple[bytes, ...], body: Callable[[Fid], Any]) -> Any:
        """Walk to ``path``, do something with it, and clunk the fid."""
        fid = self.client.walk(*path)
        try:
            return body(fid)
        finally:
            self.client.clunk(fid)

    def same(self, served: Callable[[], Any], plain: Callable[[], Any]) -> None:
        results = []
        for side in (served, plain):
            try:
                results.append(side())
            except OSError as error:
                results.append(OSError(error.errno))
        assert repr(results[0]) == repr(results[1]), results

    # One method per operation; each asks both sides for the same thing.

    def do_mkdir(self) -> None:
        path, mode = self.path(), self.random.choice([0o755, 0o700, 0o1777])
        self.same(
            lambda: self.within(
                path, lambda fid: self.client.mkdir(path[-1], mode, fid=fid) and None
            ),
            lambda: os.mkdir(self.local(path), mode),
        )

    def do_create(self) -> None:
        path = self.path()
        extra, host = self.random.choice(
            [(0, 0), (DOTL_EXCL, os.O_EXCL), (DOTL_TRUNC, os.O_TRUNC), (DOTL_APPEND, os.O_APPEND)]
        )
        pair = Pair(ROOT, -1)

        def served() -> None:
            pair.fid = self.within(
                path, lambda fid: self.client.create(path[-1], DOTL_RDWR | extra, fid=fid)
            )

        def plain() -> None:
            pair.fd = os.open(self.local(path), os.O_RDWR | os.O_CREAT | host, 0o644)

        self.same(served, plain)
        if pair.fd >= 0:
            self.open.append(pair)

    def do_open(self) -> None:
        path = self.path()
        pair = Pair(ROOT, -1)

        def served() -> None:
            pair.fid = self.client.open(*path, flags=DOTL_RDWR)

        def plain() -> None:
            pair.fd = os.open(self.local(path), os.O_RDWR)

        self.same(served, plain)
        if pair.fd >= 0:
            self.open.append(pair)

    def do_close(self) -> None:
        if self.open:
            pair = self.open.pop(self.random.randrange(len(self.open)))
            self.client.clunk(pair.fid)
            os.close(pair.fd)

    def do_write(self) -> None:
        if self.open:
            pair = self.random.choice(self.open)
            data = self.random.randbytes(self.random.randint(0, 5000))
            offset = self.random.randint(0, 20_000)
            self.same(
                lambda: self.client.write(pair.fid, data, offset, split=len(data) // 3),
                lambda: os.pwrite(pair.fd, data, offset),
            )

    def do_read(self) -> None:
        if self.open:
            pair = self.random.choice(self.open)
            count, offset = self.random.randint(0, 5000), self.random.randint(0, 30_000)
            self.same(
                lambda: self.client.read(pair.fid, count, offset, split=count // 2),
                lambda: os.pread(pair.fd, count, offset),
            )

    def do_truncate(self) -> None:
        size = self.random.randint(0, 20_000)
        if self.open and self.random.random() < 0.5:
            pair = self.random.choice(self.open)
            self.same(
                lambda: self.client.truncate(pair.fid, size), lambda: os.ftruncate(pair.fd, size)
            )
        else:
            path = self.path()
            self.same(
                lambda: self.at(path, lambda fid: self.client.truncate(fid, size)),
                lambda: os.truncate(self.local(path), size),
            )

    def do_setattr(self) -> None:
        # The owner keeps all rights: of two reasons to refuse a rename, a path walk and a walk by
        # fids may find different ones first.
        path, mode = self.path(), self.random.choice([0o755, 0o700, 0o4711])
        valid = SETATTR_MODE | SETATTR_MTIME | SETATTR_MTIME_SET
        when = self.random.randrange(1 << 31)

        def plain() -> None:
            os.chmod(self.local(path), mode)
            os.utime(self.local(path), (when, when))

        self.same(
            lambda: self.at(
                path, lambda fid: self.client.setattr(fid, valid, mode=mode, mtime_sec=when)
            ),
            plain,
        )

    def do_unlink(self) -> None:
        path = self.path()
        directory = self.random.random() < 0.5
        flags = AT_REMOVEDIR if directory else 0
        self.same(
            lambda: self.within(path, lambda fid: self.client.unlink(path[-1], flags, fid=fid)),
            lambda: (os.rmdir if directory else os.unlink)(self.local(path)),
        )

    def do_remove(self) -> None:
        path = self.path()

        def plain() -> None:
            local = self.local(path)
            (os.rmdir if stat.S_ISDIR(os.lstat(local).st_mode) else os.unlink)(local)

        self.same(lambda: self.client.remove(self.client.walk(*path)), plain)

    def do_rename(self) -> None:
        old, new = self.path(), self.path()
        self.same(
            lambda: self.within(
                old,
                lambda fid: self.within(
                    new, lambda to: self.client.rename(old[-1], new[-1], fid=fid, to=to)
                ),
            ),
            lambda: os.rename(self.local(old), self.local(new)),
        )

    def do_rename_by_fid(self) -> None:
        old, new = self.path(), self.path()

        def renamed(parent: Fid, to: Fid) -> None:
            fid = self.client.walk(old[-1], fid=parent)
            try:
                self.client.rename_fid(fid, new[-1], to=to)
            finally:
                self.client.clunk(fid)

        self.same(
            lambda: self.within(old, lambda fid: self.within(new, lambda to: renamed(fid, to))),
            lambda: os.rename(self.local(old), self.local(new)),
        )

    def do_link(self) -> None:
        old, new = self.path(), self.path()
        self.same(
            lambda: self.at(
                old,
                lambda fid: self.within(new, lambda to: self.client.link(fid, new[-1], to=to)),
            ),
            lambda: os.link(self.local(old), self.local(new)),
        )

    def do_mknod(self) -> None:
        path = self.path()
        mode = stat.S_IFREG | self.random.choice([0o644, 0o4755])
        self.same(
            lambda: self.within(
                path, lambda fid: self.client.mknod(path[-1], mode, fid=fid) and None
            ),
            lambda: os.mknod(self.local(path), mode),
        )

    def do_list(self) -> None:
        path = self.path()
        self.same(lambda: sorted(self.client.names(*path)), lambda: self.listed(path))

    def listed(self, path: tuple[bytes, ...]) -> list[bytes]:
        fd = os.open(self.local(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            return sorted(map(os.fsencode, os.listdir(fd)))
        finally:
            os.close(fd)

    def do_stat(self) -> None:
        path = self.path()
        self.same(
            lambda: self.at(path, self.served_status),
            lambda: self.status(os.lstat(self.local(path))),
        )
        for pair in self.open:
            assert self.served_status(pair.fid) == self.status(os.fstat(pair.fd))

    def served_status(self, fid: Fid) -> list[int]:
        found = self.client.getattr(fid)
        directory = stat.S_ISDIR(found.mode)
        return [found.mode, found.uid, found.gid, found.nlink, 0 if directory else found.size]

    def status(self, found: os.stat_result) -> list[int]:
        directory = stat.S_ISDIR(found.st_mode)
        size = 0 if directory else found.st_size
        return [found.st_mode, found.st_uid, found.st_gid, found.st_nlink, size]

    def finish(self) -> None:
        while self.open:
            self.do_close()
        self.compare(())
        assert self.client.in_use() == {ROOT}

    def compare(self, path: tuple[bytes, ...]) -> None:
        assert sorted(self.client.names(*path)) == self.listed(path)
        for name in self.listed(path):
            below = (*path, name)
            status = os.lstat(self.local(below))
            assert self.at(below, self.served_status) == self.status(status)
            if stat.S_ISDIR(status.st_mode):
                self.compare(below)
            else:
                fid = self.client.open(*below)
                with open(self.local(below), "rb") as file:
                    assert self.client.read(fid, 1 << 17) == file.read()
                self.client.clunk(fid)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_served_directory_behaves_as_a_plain_one(
    client: Client, tmp_path: Path, seed: int
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    model = Model(client, mirror, seed)
    operations = [getattr(model, name) for name in dir(Model) if name.startswith("do_")]
    # Directories must grow faster than they are removed, for paths to lead anywhere.
    operations += [model.do_mkdir, model.do_mkdir, model.do_create, model.do_create]
    for _ in range(STEPS):
        model.random.choice(operations)()
        if len(model.open) > 20:
            model.do_close()
    model.finish()
