"""The served directory: what its side does in the same way in both dialects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from tests.backend.fileserver.client import Client
from tests.backend.fileserver.dotu_client import DotuClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.ninep.ids import Fid

    from .side import Kept, Path

NSEC: Final = 1_000_000_000

AClient = TypeVar("AClient", Client, DotuClient)


class ServedSide(Generic[AClient]):
    def __init__(self, client: AClient) -> None:
        self._client: AClient = client

    def _at(self, path: Path, body: Callable[[Fid], Any]) -> Any:
        """Walk to ``path``, do something with it, and clunk the fid."""
        fid = self._client.walk(*path)
        try:
            return body(fid)
        finally:
            self._client.clunk(fid)

    def _within(self, path: Path, body: Callable[[Fid], Any]) -> Any:
        """Do something in ``path``'s directory; that it is one, the guest's kernel knows."""

        def checked(fid: Fid) -> Any:
            self._check_directory(fid, wanted=True)
            return body(fid)

        return self._at(path[:-1], checked)

    def _check_directory(self, fid: Fid, *, wanted: bool) -> None:
        """Raises ``OSError`` ENOTDIR, EISDIR."""
        raise NotImplementedError

    def remove(self, path: Path) -> None:
        self._client.remove(self._client.walk(*path))

    def close(self, handle: Fid) -> None:
        self._client.clunk(handle)

    def read(self, handle: Fid, count: int, offset: int) -> bytes:
        return self._client.read(handle, count, offset, split=count // 2)

    def write(self, handle: Fid, data: bytes, offset: int) -> int:
        return self._client.write(handle, data, offset, split=len(data) // 3)

    def fsync(self, handle: Fid) -> None:
        self._client.fsync(handle)

    def truncate(self, path: Path, size: int) -> None:
        self._at(path, lambda fid: self._client.truncate(fid, size))

    def ftruncate(self, handle: Fid, size: int) -> None:
        self._client.truncate(handle, size)

    def stat(self, path: Path) -> Kept:
        found: Kept = self._at(path, self.fstat)
        return found

    def fstat(self, handle: Fid) -> Kept:
        """What this dialect says of an open file."""
        raise NotImplementedError
