"""``xen-fileproxy serve`` as a process."""

from __future__ import annotations

import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.linux_guest.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

PROGRAM: Final = Path(sys.executable).parent / "xen-fileproxy"
DEADLINE: Final = 30.0


class Server:
    """Serves a directory, or what ``options`` name, on a unix socket.

    A context manager that ends it.
    """

    def __init__(
        self, directory: Path | None, socket: Path, log: Path, options: Sequence[str] = ()
    ) -> None:
        """Start it and wait until it listens.  Raises ``GuestError``."""
        shared = [] if directory is None else ["--path", str(directory)]
        self.socket: Final = socket
        self.log: Final = log
        with log.open("wb") as out:
            self._process: Final = subprocess.Popen(
                [
                    *(str(PROGRAM), "serve", *shared),
                    *("--listen", f"unix:{socket}", *options),
                ],
                stdin=subprocess.DEVNULL,
                stderr=out,
                process_group=0,  # Ctrl-C is for us, who then end it in order
            )
        deadline = time.monotonic() + DEADLINE
        while not socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise GuestError(f"serve does not start:\n{log.read_text(errors='replace')}")
            select.select([], [], [], 0.02)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
