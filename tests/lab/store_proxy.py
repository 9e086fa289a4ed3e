"""Stands between a client and XenStore, to cut the line and to mend it: the daemon lives on."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class StoreProxy:
    """Listens on ``path`` and passes all on to the daemon's socket ``real``."""

    def __init__(self, path: Path, real: Path) -> None:
        self._path = str(path)
        self._real = str(real)
        self._threads: list[threading.Thread] = []
        self._ends: list[socket.socket] = []
        self.mend()

    def mend(self) -> None:
        """Let clients come."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen()
        self._start(self._accept, self._listener)

    def cut(self) -> None:
        """End all connections, and let nobody come."""
        os.unlink(self._path)
        # What another thread waits on does not end by being closed.
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._ends):
            end.close()
        self._threads.clear()
        self._ends.clear()

    def _start(self, work: object, *arguments: socket.socket) -> None:
        assert callable(work)
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                daemon = socket.socket(socket.AF_UNIX)
                self._ends += [client, daemon]
                daemon.connect(self._real)
                self._start(self._pass, client, daemon)
                self._start(self._pass, daemon, client)

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.cut()
