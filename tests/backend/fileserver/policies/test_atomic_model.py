"""What a guest sees of ``commit=atomic`` is what it would see of a plain directory.

One client with one open file at a time and no second names: where files are shared, a replacement
is seen as one (``test_atomic_commit``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from backend.fileserver.policies.atomic_commit import AtomicCommitTree
from tests.backend.fileserver.client import ROOT, Client
from tests.backend.fileserver.model.dotl import DotlSide
from tests.backend.fileserver.model.model import Features, Model
from tests.backend.fileserver.model.plain import PlainSide

if TYPE_CHECKING:
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
