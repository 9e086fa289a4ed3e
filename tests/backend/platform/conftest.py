"""A XenStore server for each test, in a directory with a path short enough for a socket."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Protocol

import pytest

from backend.platform.embedded.xenstore_thread import XenStoreThread
from protocol.xenpv.ids import DOM0, Domid
from tests.backend.platform.xenstore_clients import SocketClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.platform.embedded.xenstore_limits import Limits


class Daemon:
    """A server that can be stopped and started again; its store is empty then."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._server: XenStoreThread | None = None
        self._clients: list[SocketClient] = []

    def path(self, domid: int = 0) -> str:
        return f"{self._directory}/{domid}"

    def start(self, limits: Limits | None = None) -> None:
        """Serve Dom0 and the guests 5 and 6."""
        self._server = XenStoreThread(limits)
        self.server.call(lambda server: server.listen(self.path(), DOM0))
        for domid in (5, 6):
            self.add(domid)

    def add(self, domid: int) -> None:
        """A new guest."""
        self.server.call(lambda server: server.listen(self.path(domid), Domid(domid)))
        self.server.call(lambda server: server.introduce(Domid(domid)))

    @property
    def server(self) -> XenStoreThread:
        assert self._server is not None
        return self._server

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def client(self, domid: int = 0) -> SocketClient:
        client = SocketClient(self.path(domid))
        self._clients.append(client)
        return client

    def connections(self, domid: int = 0) -> int:
        return self.server.call(lambda server: server.connections(Domid(domid)))

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.stop()


class MakeDaemon(Protocol):
    def __call__(self, limits: Limits | None = None) -> Daemon: ...


@pytest.fixture
def make_daemon() -> Iterator[MakeDaemon]:
    """Starts a server with other limits than the default ones."""
    with tempfile.TemporaryDirectory(prefix="xs") as directory:
        daemon = Daemon(directory)

        def make(limits: Limits | None = None) -> Daemon:
            daemon.start(limits)
            return daemon

        yield make
        daemon.close()


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> Daemon:
    return make_daemon()
