"""Workers and supervisors that die, over and over, while a guest works."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

from tests.end_to_end.lives import kill_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from tests.lab.service import Service

CONFIGURATION: Final = Path("/etc/xen/xen-fileproxy.toml")
SECONDS: Final = 2.0
"""From one death of a worker to the next."""
WORKERS: Final = 5
"""Deaths of workers, after which the supervisor dies as well."""


@contextmanager
def recovering(service: Service) -> Iterator[None]:
    """Devices that are attached meanwhile outlive their workers."""
    before = CONFIGURATION.read_text()
    CONFIGURATION.write_text(f"recovery = true\n{before}")
    try:
        service.restart(signal.SIGTERM)
        yield
    finally:
        CONFIGURATION.write_text(before)
        service.restart(signal.SIGTERM)


class Dying:
    """A device whose workers are killed, until this context manager's end."""

    def __init__(self, service: Service, keeper: int) -> None:
        """``keeper`` is the process that ``status`` names."""
        self.deaths = 0
        self._service, self._keeper = service, keeper
        self._enough = Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        self._killing = self._pool.submit(self._kill)
        return self

    def __exit__(self, *failure: object) -> None:
        self._enough.set()
        self._pool.shutdown()
        self._killing.result()

    def _kill(self) -> None:
        while not self._enough.wait(SECONDS):
            if not kill_worker(self._keeper):
                continue
            self.deaths += 1
            if self.deaths % WORKERS == 0:
                self._service.restart(signal.SIGKILL)
