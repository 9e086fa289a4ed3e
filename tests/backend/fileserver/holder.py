"""A tree without a session: tests call it, and what it hands out is let go at the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from backend.fileserver.files import NOBODY

if TYPE_CHECKING:
    from backend.fileserver.files import File, Node, Owner
    from backend.fileserver.tree import Tree


class Holder:
    """Lets go, at the end, of the nodes and files that a test was handed."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._nodes: list[Node] = []
        self._files: list[File] = []

    def node(self, node: Node) -> Node:
        self._nodes.append(node)
        return node

    def file(self, file: File) -> File:
        self._files.append(file)
        return file

    def lookup(self, *names: bytes) -> Node:
        node = self.tree.root
        for name in names:
            node = self.node(self.tree.lookup(node, name))
        return node

    def open(self, *names: bytes, flags: int = os.O_RDONLY) -> File:
        return self.file(self.tree.open(self.lookup(*names), flags))

    def create(
        self, name: bytes, flags: int = os.O_RDWR, mode: int = 0o644, owner: Owner = NOBODY
    ) -> tuple[Node, File]:
        node, file = self.tree.create(self.tree.root, name, flags, mode, owner)
        return self.node(node), self.file(file)

    def close(self, file: File) -> None:
        self._files.remove(file)
        file.close()

    def make(self, name: bytes, mode: int = 0o644) -> Node:
        """A file that is closed: what is in Dom0 before that is up to the policy."""
        node, file = self.create(name, mode=mode)
        self.close(file)
        return node

    def release(self) -> None:
        for file in self._files:
            file.close()
        for node in self._nodes:
            node.release()


def read(file: File, count: int, offset: int = 0) -> bytes:
    data = bytearray(count)
    return bytes(data[: file.read([memoryview(data)], offset)])


def write(file: File, data: bytes, offset: int = 0) -> int:
    return file.write([memoryview(data)], offset)
