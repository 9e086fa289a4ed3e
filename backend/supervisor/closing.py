"""How long a frontend may keep a device in Closing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.supervisor.reactor import Deadline, Reactor


class Closing:
    """The bound of one device; ``late`` is told at each look whether it is in Closing."""

    def __init__(self, reactor: Reactor, wake: Callable[[], None]) -> None:
        """``wake`` is called when the time is over."""
        self._reactor = reactor
        self._wake = wake
        self._deadline: Deadline | None = None
        self._late = False

    def late(self, timeout: float, *, closing: bool) -> bool:
        """Whether it has been closing for ``timeout`` seconds, as they were when that began."""
        if not closing:
            self.cancel()
            self._late = False
        elif self._deadline is None:
            self._deadline = self._reactor.after(timeout, self._over)
        return closing and self._late

    def cancel(self) -> None:
        """Count from the next look on."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _over(self) -> None:
        self._late = True
        self._wake()
