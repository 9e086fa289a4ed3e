"""A XenStore server in a thread of its own: for tests that need no hypervisor."""

from __future__ import annotations

import selectors
import socket
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self, TypeVar

from backend.platform.embedded.xenstore import XenStoreServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from backend.platform.embedded.xenstore_limits import Limits

T = TypeVar("T")


class XenStoreThread:
    """Runs the server's loop.  Everything done to the server goes through ``call``."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Start; without sockets yet."""
        self._selector = selectors.DefaultSelector()
        self._server = XenStoreServer(self._selector, limits)
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._selector.register(self._wake_receiver, selectors.EVENT_READ, self._wake)
        self._lock = threading.Lock()
        self._calls: list[Callable[[], None]] = []
        self._running = True
        self._thread = threading.Thread(target=self._run, name="xenstore", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Nothing to do: it runs."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.close()

    def call(self, body: Callable[[XenStoreServer], T]) -> T:
        """Run ``body`` in the server's thread; its result, or what it raised."""
        result: Future[T] = Future()

        def run() -> None:
            try:
                result.set_result(body(self._server))
            except Exception as error:  # noqa: BLE001 -- handed to the caller
                result.set_exception(error)

        with self._lock:
            self._calls.append(run)
        self._wake_sender.send(b"\0")
        return result.result(timeout=10)

    def close(self) -> None:
        """End all connections, remove the sockets, end the thread."""
        if self._running:
            self.call(lambda server: server.close())
            self._running = False
            self._wake_sender.send(b"\0")
            self._thread.join(10)
            self._selector.close()
            self._wake_receiver.close()
            self._wake_sender.close()

    def _run(self) -> None:
        while self._running:
            for key, mask in self._selector.select():
                current = self._selector.get_map().get(key.fd)
                if current is not None and current.data == key.data:
                    key.data(mask)

    def _wake(self, _mask: int) -> None:
        self._wake_receiver.recv(4096)
        with self._lock:
            calls, self._calls = self._calls, []
        for run in calls:
            run()
