"""A process that dies while it gives a file its name leaves nothing that the next one does not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.files import NOBODY
from backend.fileserver.local_tree import LocalTree
from tests.backend.fileserver.holder import Holder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.fileserver.files import Node


class Dying(LocalTree):
    """Dies, if it is to, before it renames anything: nobody cleans up either."""

    dies = True

    def rename(self, old_parent: Node, old_name: bytes, new_parent: Node, new_name: bytes) -> None:
        if self.dies:
            raise KeyboardInterrupt
        super().rename(old_parent, old_name, new_parent, new_name)


@pytest.fixture
def held(export: Path) -> Iterator[Holder]:
    held = Holder(Dying(str(export)))
    yield held
    held.release()
    held.tree.close()


@pytest.mark.parametrize("removed", [False, True], ids=["the old one is there", "it is gone"])
def test_the_name_on_the_way_does_not_stay(export: Path, held: Holder, *, removed: bool) -> None:
    (export / "new").write_bytes(b"old")
    tree, root = held.tree, held.tree.root
    node, file = tree.create_unnamed(root, b"new", os.O_RDWR, 0o600, NOBODY)
    held.node(node)
    held.file(file).write([memoryview(b"whole")], 0)
    with pytest.raises(KeyboardInterrupt):
        tree.publish(node, root, b"new")
    assert len(os.listdir(export)) == 2
    assert (export / "new").read_bytes() == b"old"
    if removed:
        (export / "new").unlink()
    assert isinstance(tree, Dying)
    tree.dies = False
    tree.publish(node, root, b"new")
    assert os.listdir(export) == ["new"]
    assert (export / "new").read_bytes() == b"whole"
