"""A status socket whose answers are the test's: the other side need not be a supervisor."""

from __future__ import annotations

import socket
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def answering(*conversations: tuple[bytes, bytes]) -> Iterator[str]:
    """A socket for as many clients: what each must ask, and what it is answered."""
    with tempfile.TemporaryDirectory(prefix="xf") as place, socket.socket(socket.AF_UNIX) as server:
        path = str(Path(place) / "s")
        server.bind(path)
        server.listen()

        def serve() -> None:
            for request, answer in conversations:
                connection, _ = server.accept()
                with connection:
                    assert connection.recv(16) == request
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        thread.join(20)
