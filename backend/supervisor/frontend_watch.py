"""How a device hears of its frontend: a watch on its state, and a bound on what is heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backend.supervisor.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.logs import DeviceLog
    from backend.supervisor.reactor import Deadline, Reactor
    from protocol.xenpv.ports import Store

_LOOKS_PER_SECOND: Final = 50.0
_LOOKS_AT_ONCE: Final = 150
"""A connection and its end take about ten looks, and a script that calls the user-space frontend in
a loop makes four of them a second: it must not be held up.  A guest that rewrites its state without
end gets fifty looks a second, some 20 ms of ours, and between bursts its watch is taken away, so
that its events cost nothing."""


class FrontendWatch:
    """The watch of one device, whose events carry ``token``."""

    def __init__(
        self, store: Store, reactor: Reactor, token: str, log: DeviceLog, wake: Callable[[], None]
    ) -> None:
        self._store = store
        self._reactor = reactor
        self._token = token
        self._log = log
        self._wake = wake
        self._throttle = Throttle(_LOOKS_PER_SECOND, _LOOKS_AT_ONCE, reactor.now())
        self._pause: Deadline | None = None
        self._watched: str | None = None

    def rests(self) -> bool:
        """Whether this device has had more than its share of looks, and must wait."""
        if self._pause is None and not self._throttle.allow(self._reactor.now()):
            self._log.warning("too many changes; looking away for a moment")
            self._pause = self._reactor.after(self._throttle.wait(), self._look_again)
            self._unwatch()
        return self._pause is not None

    def watch(self, frontend: str) -> None:
        """Hear of each change of state, unless it is watched already."""
        if self._watched is None:
            self._store.watch(f"{frontend}/state", self._token)
            self._watched = f"{frontend}/state"

    def end(self) -> None:
        """Hear of nothing any more.  Raises ``OSError`` when XenStore fails."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._unwatch()

    def _look_again(self) -> None:
        self._pause = None
        self._wake()

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._store.unwatch(self._watched, self._token)
            self._watched = None
