"""A guest's store as ``Store`` has it, with an agent in the guest that does what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.xenpv.ports import Events
    from tests.contract.peer import RemotePeer


class RemoteStore:
    """What the contract asks of a guest's own store."""

    def __init__(self, peer: RemotePeer) -> None:
        self._peer = peer

    def read(self, path: str) -> bytes:
        return bytes.fromhex(self._peer.store_read(path=path))

    def write(self, path: str, value: bytes) -> None:
        self._peer.store_write(path=path, value=value.hex())

    def set_permissions(self, path: str, permissions: list[str]) -> None:
        self._peer.store_set_permissions(path=path, permissions=permissions)

    def watch(self, path: str, token: str) -> None:
        self._peer.store_watch(path=path, token=token)

    def unwatch(self, path: str, token: str) -> None:
        self._peer.store_unwatch(path=path, token=token)

    def write_all(self, paths: list[str], times: int) -> None:
        """Write nothing to each, so many times over."""
        self._peer.store_write_all(paths=paths, times=times)

    def watch_all(self, path: str, most: int) -> int:
        """Watch under the tokens 0, 1, 2...; how many were not refused."""
        count: int = self._peer.store_watch_all(path=path, most=most)
        return count

    def next_events(self, count: int) -> Events:
        """``count`` events, waited for there."""
        return [(path, token) for path, token in self._peer.store_events(count=count)]
