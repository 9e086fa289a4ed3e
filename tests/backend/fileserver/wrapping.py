"""A policy that changes nothing but leaves no object as it is: nothing may see through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.fileserver.policies.forwarding import ForwardingFile, ForwardingTree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend.fileserver.files import File
    from protocol.ninep.messages import Dirent


class WrappedFile(ForwardingFile):
    def entries(self, cookie: int) -> Iterable[Dirent]:
        return (entry for entry in self.inner.entries(cookie) if self.shows(entry.name))

    def shows(self, name: bytes) -> bool:
        return bool(name)


class WrappedTree(ForwardingTree):
    def wrap(self, file: File) -> File:
        return WrappedFile(file)
