"""Random operations by several clients on a served directory and on a plain one: same answers.

Each step asks both sides for the same thing and compares what they give, or the errno; now and
then, and at the end, the whole trees are compared: names, content, attributes.
"""

from __future__ import annotations

import errno
import os
import random
import stat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .plain import PlainSide
    from .side import Path, Side

NAMES: Final = (b"a", b"b", b"c", b"\xff \n", b"n" * 255)
XATTRS: Final = (b"user.one", b"user.two", b"user.\xe9")
MAX_OPEN: Final = 20
MAX_SIZE: Final = 40_000
MAX_ENTRIES: Final = 200
"""A tree that has grown beyond this is emptied: renames move whole trees into one another."""
NSEC: Final = 1_000_000_000


class Features(NamedTuple):
    """What a dialect can say."""

    xattrs: bool
    nanoseconds: bool
    rename_across: bool
    """Whether a file may move to another directory."""
    open_or_create: bool
    """Whether a create may open a file that is there."""


class Handle(NamedTuple):
    """A file that is open on both sides."""

    side: Side
    served: Any
    plain: int
    writable: bool


class Model:
    """Drives ``sides``, each a client of one served directory, and ``plain``."""

    def __init__(
        self, sides: Sequence[Side], plain: PlainSide, features: Features, seed: int
    ) -> None:
        self._sides = sides
        self._plain = plain
        self._features = features
        self._random = random.Random(seed)
        self._open: list[Handle] = []
        self.compared = 0
        """Steps in which both sides were asked."""
        operations = [getattr(self, name) for name in dir(self) if name.startswith("do_")]
        # Directories must grow faster than they are removed, for paths to lead anywhere.
        self._operations: list[Callable[[], None]] = [
            *operations,
            *[self.do_mkdir] * 2,
            *[self.do_create] * 2,
        ]

    def step(self) -> None:
        """One random operation."""
        self._random.choice(self._operations)()
        if len(self._open) > MAX_OPEN:
            self.do_close()

    def finish(self) -> None:
        """Close everything and compare the trees."""
        while self._open:
            self.do_close()
        self.compare_trees()

    def close(self) -> None:
        """Let go of the plain side's files, also after a difference."""
        while self._open:
            self._plain.close(self._open.pop().plain)
        self._plain.finish()

    def compare_trees(self) -> None:
        """Everything there is, seen by each client."""
        counts = [self._compare(side, ()) for side in self._sides]
        if counts[0] > MAX_ENTRIES:
            self._remove_below(())

    def _remove_below(self, path: Path) -> None:
        for name in self._plain.names(path):
            below = (*path, name)
            directory = stat.S_ISDIR(self._plain.stat(below).mode)
            if directory:
                self._remove_below(below)
            assert self._both("rmdir" if directory else "unlink", below)

    def _compare(self, side: Side, path: Path) -> int:
        """How many entries there are below ``path``."""
        assert side.names(path) == self._plain.names(path), path
        names = self._plain.names(path)
        count = len(names)
        for name in names:
            below = (*path, name)
            found = self._plain.stat(below)
            assert side.stat(below) == found, below
            if stat.S_ISDIR(found.mode):
                count += self._compare(side, below)
            elif stat.S_ISLNK(found.mode):
                assert side.readlink(below) == self._plain.readlink(below)
            elif stat.S_ISREG(found.mode):
                assert self._content(side, below) == self._content(self._plain, below), below
        return count

    def _content(self, side: Side, path: Path) -> bytes:
        handle = side.open(path, os.O_RDONLY)
        try:
            return side.read(handle, 2 * MAX_SIZE, 0)
        finally:
            side.close(handle)

    def _side(self) -> Side:
        return self._random.choice(self._sides)

    def _path(self) -> Path:
        return tuple(self._random.choices(NAMES, k=self._random.randint(1, 3)))

    def _same(self, what: object, served: Callable[[], Any], plain: Callable[[], Any]) -> bool:
        """Whether both did it; that one did and the other did not is a difference."""
        self.compared += 1
        results, codes = [], []
        for ask in (served, plain):
            try:
                results.append(ask())
                codes.append(0)
            except OSError as error:
                results.append(None)
                codes.append(error.errno or -1)
        words = [errno.errorcode.get(code, "ok") for code in codes]
        assert codes[0] == codes[1], f"{what}: served {words[0]}, plain {words[1]}"
        assert results[0] == results[1], f"{what}: served {results[0]!r}, plain {results[1]!r}"
        return not codes[0]

    def _both(self, name: str, *arguments: Any) -> bool:
        side = self._side()
        return self._same(
            (name, *arguments),
            lambda: getattr(side, name)(*arguments),
            lambda: getattr(self._plain, name)(*arguments),
        )

    def _get_open(self, name: str, *arguments: Any, writable: bool = True) -> None:
        """Both sides open something."""
        side = self._side()
        handles: list[Any] = [None, None]

        def keep(number: int, asked: Side) -> None:
            handles[number] = getattr(asked, name)(*arguments)

        what = (name, *arguments)
        if self._same(what, lambda: keep(0, side), lambda: keep(1, self._plain)):
            self._open.append(Handle(side, handles[0], handles[1], writable))

    def _with_open(self, name: str, *arguments: Any) -> None:
        if self._open:
            self._ask(self._random.choice(self._open), name, *arguments)

    def _ask(self, handle: Handle, name: str, *arguments: Any) -> None:
        self._same(
            (name, handle, *arguments),
            lambda: getattr(handle.side, name)(handle.served, *arguments),
            lambda: getattr(self._plain, name)(handle.plain, *arguments),
        )

    # One method per operation.

    def do_mkdir(self) -> None:
        self._both("mkdir", self._path(), self._random.choice([0o755, 0o700, 0o1777]))

    def do_create(self) -> None:
        path = self._path()
        if self._is_special(path):
            return
        flags = os.O_EXCL
        if self._features.open_or_create:
            flags = self._random.choice([0, os.O_EXCL, os.O_TRUNC, os.O_APPEND])
        self._get_open("create", path, flags, self._random.choice([0o644, 0o600]))

    def do_open(self) -> None:
        path = self._path()
        # A FIFO in the guest is opened in the guest: nobody asks for Dom0's.
        if not self._is_special(path):
            access = self._random.choice([os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
            flags = access | self._random.choice([0, 0, os.O_TRUNC])
            self._get_open("open", path, flags, writable=access != os.O_RDONLY)

    def _is_special(self, path: Path) -> bool:
        try:
            mode = self._plain.stat(path).mode
        except OSError:
            return False
        return not stat.S_ISREG(mode)

    def do_close(self) -> None:
        if self._open:
            handle = self._open.pop(self._random.randrange(len(self._open)))
            self._same(
                ("close", handle),
                lambda: handle.side.close(handle.served),
                lambda: self._plain.close(handle.plain),
            )

    def do_write(self) -> None:
        data = self._random.randbytes(self._random.choice([0, 1, 512, 4096, 5000]))
        self._with_open("write", data, self._random.randrange(MAX_SIZE // 2))

    def do_read(self) -> None:
        count = self._random.choice([0, 1, 512, 4096, 5000])
        self._with_open("read", count, self._random.randrange(MAX_SIZE))

    def do_fsync(self) -> None:
        # Seldom, because each waits for a disk twice.
        if self._random.random() < 0.05:
            self._with_open("fsync")

    def do_ftruncate(self) -> None:
        size = self._random.randrange(MAX_SIZE // 2)
        # Of a file that is open for reading, the guest's kernel does not ask.
        writable = [handle for handle in self._open if handle.writable]
        if writable:
            self._ask(self._random.choice(writable), "ftruncate", size)

    def do_truncate(self) -> None:
        path = self._path()
        if not self._is_special(path):
            self._both("truncate", path, self._random.randrange(MAX_SIZE // 2))

    def do_chmod(self) -> None:
        # The owner keeps all rights: of two reasons to refuse, each side may find another first.
        mode = self._random.choice([0o755, 0o700, 0o1755, 0o4711])
        path = self._path()
        if not self._is_link(path):
            self._both("chmod", path, mode)

    def _is_link(self, path: Path) -> bool:
        try:
            return stat.S_ISLNK(self._plain.stat(path).mode)
        except OSError:
            return False

    def do_chown(self) -> None:
        if os.geteuid() == 0:
            self._both("chown", self._path(), self._random.randrange(3), self._random.randrange(3))

    def do_utime(self) -> None:
        path = self._path()
        when = self._random.randrange(1 << 31) * NSEC
        if self._features.nanoseconds:
            when += self._random.randrange(NSEC)
        if not self._is_link(path) and self._both("utime", path, when):
            self._both("mtime", path)

    def do_unlink(self) -> None:
        self._both("unlink", self._path())

    def do_rmdir(self) -> None:
        self._both("rmdir", self._path())

    def do_remove(self) -> None:
        self._both("remove", self._path())

    def do_rename(self) -> None:
        old, new = self._path(), self._path()
        if not self._features.rename_across:
            new = (*old[:-1], new[-1])
        self._both("rename", old, new)

    def do_link(self) -> None:
        self._both("link", self._path(), self._path())

    def do_symlink(self) -> None:
        target = self._random.choice([b"a", b"../b", b"/etc/passwd", b"x" * 300, b"\xff"])
        self._both("symlink", target, self._path())

    def do_readlink(self) -> None:
        self._both("readlink", self._path())

    def do_mknod(self) -> None:
        kind = self._random.choice([stat.S_IFIFO, stat.S_IFSOCK])
        self._both("mknod", self._path(), kind | 0o640)

    def do_names(self) -> None:
        self._both("names", self._path())

    def do_stat(self) -> None:
        self._both("stat", self._path())
        for handle in self._open:
            self._ask(handle, "fstat")

    def do_xattr(self) -> None:
        path = self._path()
        if not self._features.xattrs or self._is_special(path):
            return
        name = self._random.choice(XATTRS)
        what = self._random.randrange(3)
        if what == 0:
            value = self._random.randbytes(self._random.choice([1, 20, 300]))
            flags = self._random.choice([0, os.XATTR_CREATE, os.XATTR_REPLACE])
            self._both("setxattr", path, name, value, flags)
        elif what == 1:
            self._both("removexattr", path, name)
        else:
            self._both("xattrs", path)
