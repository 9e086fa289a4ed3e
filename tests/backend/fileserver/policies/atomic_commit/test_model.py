"""What a guest sees of ``commit=atomic`` is what it would see of a plain directory.

That is so of one client with one open file at a time and no second names.  Where files are shared,
a replacement is seen as one (``test_publishing``); that nothing else goes wrong is shown here.
"""

from __future__ import annotations

import os
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from backend.fileserver.policies.atomic_commit import AtomicCommitTree
from tests.backend.fileserver.client import ROOT, Client
from tests.backend.fileserver.model.dotl import DotlSide
from tests.backend.fileserver.model.model import Features, Model
from tests.backend.fileserver.model.plain import PlainSide

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.backend.fileserver.model import side

STEPS = 3_000
FEATURES = Features(xattrs=True, nanoseconds=True, rename_across=True, open_or_create=True)


class LinuxSide(DotlSide):
    """Truncates by Tsetattr after Tlopen, as Linux does."""

    def open(self, path: side.Path, flags: int) -> Any:
        handle = super().open(path, flags & ~os.O_TRUNC)
        if flags & os.O_TRUNC and flags & os.O_ACCMODE != os.O_RDONLY:
            self.ftruncate(handle, 0)
        return handle


class OneFileModel(Model):
    def _get_open(self, name: str, *arguments: Any, writable: bool = True) -> None:
        while self._open:
            self.do_close()
        if name == "open" and not writable:
            arguments = (arguments[0], os.O_RDONLY)
        super()._get_open(name, *arguments, writable=writable)

    def do_link(self) -> None:
        """A file that is being written gets no second name."""


@pytest.mark.parametrize("kind", [DotlSide, LinuxSide])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_as_a_plain_directory(
    export: Path, tmp_path: Path, seed: int, kind: type[DotlSide]
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    client = Client(str(export), wrap=AtomicCommitTree)
    client.mount()
    model = OneFileModel([kind(client)], PlainSide(str(mirror)), FEATURES, seed)
    try:
        while model.compared < STEPS:
            model.step()
        model.finish()
        assert client.in_use() == {ROOT}
        assert sorted(os.listdir(export)) == sorted(os.listdir(mirror))
    finally:
        model.close()
        client.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_many_open_files_do_nothing_is_left(export: Path, seed: int) -> None:
    """Only ``OSError`` is raised; no descriptor, no hidden name, no pending file is left."""
    dice = random.Random(seed)
    client = Client(str(export), wrap=AtomicCommitTree)
    client.mount()
    tree = client.session.tree
    assert isinstance(tree, AtomicCommitTree)
    side = DotlSide(client)
    handles: list[Any] = []

    def path() -> tuple[bytes, ...]:
        return tuple(dice.choices((b"a", b"b", b"c"), k=dice.randint(1, 2)))

    flags = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC)
    operations: list[Callable[[], Any]] = [
        lambda: handles.append(side.create(path(), dice.choice((0, os.O_EXCL, os.O_TRUNC)), 0o644)),
        lambda: handles.append(side.open(path(), dice.choice(flags))),
        lambda: side.write(dice.choice(handles), b"x" * dice.randrange(100), dice.randrange(100)),
        lambda: side.ftruncate(dice.choice(handles), dice.choice((0, 0, 50))),
        lambda: side.close(handles.pop(dice.choice(range(len(handles))))),
        lambda: side.mkdir(path(), 0o755),
        lambda: side.link(path(), path()),
        lambda: side.rename(path(), path()),
        lambda: side.unlink(path()),
        lambda: side.rmdir(path()),
        lambda: side.names(path()),
    ]
    for _ in range(STEPS):
        if len(handles) > 20 or (handles and dice.random() < 0.002):
            client.mount()
            handles.clear()
        with suppress(OSError, IndexError):
            dice.choice(operations)()
        for handle in handles:
            assert side.fstat(handle).mode
    client.close()
    assert not tree._pending.by_entry
    assert not tree._pending.by_file
    assert not tree._in_place
    hidden = [name for _, _, names in os.walk(export) for name in names if name.startswith(".")]
    assert hidden == []
