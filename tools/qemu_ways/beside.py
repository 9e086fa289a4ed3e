"""Programs that run beside a block, and end with it."""

from __future__ import annotations

import contextlib
import select
import shlex
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final

from tools.qemu_ways.qemu import DEADLINE, Stream, WayError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Self


class Process:
    """A program that runs beside a block; a context manager that kills what still runs."""

    def __init__(
        self,
        command: Sequence[str],
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = subprocess.DEVNULL,
        *,
        endless: bool = False,
        terminal: Path | None = None,
    ) -> None:
        """An ``endless`` one has to be told to end; ``terminal`` is what it makes, else it says."""
        self._command: Final = shlex.join(command)
        self._endless: Final = endless
        self._terminal: Final = terminal
        self._process: Final = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE
        )

    def terminal(self) -> str:
        """The path of the terminal that it has made.  Raises ``WayError``."""
        if self._terminal is None:
            assert self._process.stdout is not None
            return self._process.stdout.readline().decode().strip()
        deadline = time.monotonic() + DEADLINE
        while not self._terminal.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise WayError(f"{self._command}: makes no terminal")
            select.select([], [], [], 0.05)
        return str(self._terminal)

    def finish(self) -> None:
        """Wait until it has ended.  Raises ``WayError`` where it has failed."""
        if self._endless:
            self._process.terminate()
        said = self._process.communicate(timeout=DEADLINE)[1].decode(errors="replace").strip()
        status = self._process.returncode
        if status != (128 + signal.SIGTERM if self._endless else 0):
            raise WayError(f"{self._command}: status {status}: {said}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@contextlib.contextmanager
def ending(
    command: Sequence[str],
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.DEVNULL,
) -> Iterator[None]:
    """A program that runs beside the block, and ends well after it.  Raises ``WayError``."""
    with Process(command, stdin, stdout) as process:
        yield
        process.finish()
