"""A process that acts for one domain and does as it is told: the other end in the contract suite.

``python agent.py PLATFORM DOMID``: a line on standard input is one JSON request, a line on standard
output its answer.  It uses nothing but the ports, so the same program serves on every platform.
"""

from __future__ import annotations

import json
import select
import sys
from typing import TYPE_CHECKING, Any

from backend.platform import open_platform
from protocol.xenpv.ids import Domid, Evtchn, Gref

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.platform.platform import Platform
    from protocol.xenpv.ports import SharedPages


class Agent:
    """One handle of each kind, and the ranges made through them."""

    def __init__(self, platform: Platform) -> None:
        self._mapper = platform.grant_mapper()
        self._sharer = platform.grant_sharer()
        self._events = platform.event_channels()
        self._store = platform.store()
        self._ranges: dict[int, SharedPages] = {}
        self.calls: dict[str, Callable[..., Any]] = {
            name: getattr(self, name) for name in dir(type(self)) if not name.startswith("_")
        }

    def share(self, domid: int, count: int) -> dict[str, Any]:
        pages = self._sharer.share(Domid(domid), count)
        return {"range": self._keep(pages), "grefs": pages.grefs}

    def map(self, domid: int, grefs: list[int]) -> int:
        return self._keep(self._mapper.map(Domid(domid), [Gref(gref) for gref in grefs]))

    def _keep(self, pages: SharedPages) -> int:
        number = max(self._ranges, default=0) + 1
        self._ranges[number] = pages
        return number

    def write(self, number: int, at: int, data: str) -> None:
        raw = bytes.fromhex(data)
        self._ranges[number].memory[at : at + len(raw)] = raw

    def read(self, number: int, at: int, length: int) -> str:
        return bytes(self._ranges[number].memory[at : at + length]).hex()

    def close_range(self, number: int) -> None:
        self._ranges.pop(number).close()

    def alloc_unbound(self, remote: int) -> int:
        return self._events.alloc_unbound(Domid(remote))

    def bind_interdomain(self, remote: int, port: int) -> int:
        return self._events.bind_interdomain(Domid(remote), Evtchn(port))

    def notify(self, port: int) -> None:
        self._events.notify(Evtchn(port))

    def unmask(self, port: int) -> None:
        self._events.unmask(Evtchn(port))

    def unbind(self, port: int) -> None:
        self._events.unbind(Evtchn(port))

    def restrict(self, domid: int) -> None:
        self._events.restrict(Domid(domid))

    def wait(self, seconds: float) -> int | None:
        poll = select.poll()
        poll.register(self._events.fileno(), select.POLLIN)
        return self._events.pending() if poll.poll(seconds * 1000) else None

    def echo(self, port: int, times: int) -> None:
        """Answer ``times`` events on ``port``, each with one."""
        for _ in range(times):
            assert self.wait(10) == port
            self._events.unmask(Evtchn(port))
            self._events.notify(Evtchn(port))

    def store_read(self, path: str) -> str:
        return self._store.read(path).hex()

    def store_write(self, path: str, value: str) -> None:
        self._store.write(path, bytes.fromhex(value))

    def store_set_permissions(self, path: str, permissions: list[str]) -> None:
        self._store.set_permissions(path, permissions)

    def store_watch(self, path: str, token: str) -> None:
        self._store.watch(path, token)

    def store_unwatch(self, path: str, token: str) -> None:
        self._store.unwatch(path, token)

    def store_write_all(self, paths: list[str], times: int) -> None:
        """Write nothing to each of ``paths``, ``times`` over."""
        for path in paths * times:
            self._store.write(path, b"")

    def store_watch_all(self, path: str, most: int) -> int:
        """Watch ``path`` under the tokens 0, 1, 2... until one is refused, ``most`` at the most."""
        for number in range(most):
            try:
                self._store.watch(path, f"{number}")
            except OSError:
                return number
        return most

    def store_events(self, count: int) -> list[tuple[str, str]]:
        """``count`` events, or what of them came within ten seconds each."""
        seen: list[tuple[str, str]] = []
        poll = select.poll()
        poll.register(self._store.fileno(), select.POLLIN)
        while len(seen) < count and poll.poll(10_000):
            seen += self._store.events()
        return seen

    def _close(self) -> None:
        for pages in self._ranges.values():
            pages.close()
        for handle in (self._mapper, self._sharer, self._events, self._store):
            handle.close()


def main(name: str, domid: int) -> None:
    platform = open_platform(name, domid=Domid(domid))
    agent = Agent(platform)
    print(json.dumps({"result": None}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": agent.calls[request.pop("call")](**request)}
        except OSError as error:
            answer = {"errno": error.errno, "text": str(error.strerror)}
        print(json.dumps(answer), flush=True)
    agent._close()
    platform.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
