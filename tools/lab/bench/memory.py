"""What a device costs Dom0 before its first request: memory, and time until it is connected."""

from __future__ import annotations

import select
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.platform import open_platform
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

_LONGEST: Final = 120.0
"""Seconds; a guest boots meanwhile."""
_CONNECTED: Final = ("backend", XenbusState.CONNECTED)


class Memory(NamedTuple):
    """KiB of some processes together."""

    pss: int
    """Their own pages, and their share of those that others map, too."""
    rss: int


def memory(pids: Iterable[int]) -> Memory:
    """Of ``pids``, which run."""
    pss = rss = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "Pss":
                pss += int(value.split()[0])
            elif name == "Rss":
                rss += int(value.split()[0])
    return Memory(pss, rss)


class StateTimes:
    """When both ends of a device that comes reached their states; a context manager.

    The end of the context waits until the backend is connected.
    """

    def __init__(self, backend_class: str) -> None:
        """Of the one device that appears below ``backend/CLASS`` meanwhile."""
        self._directory: Final = f"/local/domain/0/backend/{backend_class}"
        self._store: Final = open_platform("xen").store()
        self._before: Final = self._devices()
        self._thread: Final = threading.Thread(target=self._follow)
        self.reached: dict[tuple[str, XenbusState], float] = {}
        """By ``backend`` or ``frontend`` and state, the monotonic clock."""

    def __enter__(self) -> Self:
        self._store.watch(self._directory, "backend")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *failure: object) -> None:
        self._thread.join()
        self._store.close()
        assert kind or _CONNECTED in self.reached, f"the device is not connected: {self.reached}"

    def to_offer(self) -> float:
        """Seconds from the nodes to the backend's InitWait: QEMU must have started by then."""
        start = self.reached["backend", XenbusState.INITIALISING]
        return self.reached["backend", XenbusState.INIT_WAIT] - start

    def to_connect(self) -> float:
        """Seconds from the frontend's rings to the backend's Connected: our worker, by then."""
        start = self.reached["frontend", XenbusState.INITIALISED]
        return self.reached[_CONNECTED] - start

    def _follow(self) -> None:
        deadline = time.monotonic() + _LONGEST
        frontend = ""
        while _CONNECTED not in self.reached and time.monotonic() < deadline:
            select.select([self._store.fileno()], [], [], 1)
            self._store.events()
            for device in self._devices() - self._before:
                if not frontend:
                    frontend = self._read(f"{device}/frontend")
                    self._store.watch(f"{frontend}/state", "frontend")
                self._note("frontend", frontend)
                self._note("backend", device)

    def _note(self, end: str, path: str) -> None:
        state = XenbusState.parse(self._read(f"{path}/state").encode())
        self.reached.setdefault((end, state), time.monotonic())

    def _devices(self) -> set[str]:
        return {
            f"{self._directory}/{domid}/{devid}"
            for domid in self._list(self._directory)
            for devid in self._list(f"{self._directory}/{domid}")
        }

    def _read(self, path: str) -> str:
        try:
            return self._store.read(path).decode()
        except FileNotFoundError:
            return ""

    def _list(self, path: str) -> list[str]:
        try:
            return list(self._store.list(path))
        except FileNotFoundError:
            return []
