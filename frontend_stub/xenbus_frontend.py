"""The frontend's side of the xenbus handshake, as Linux's driver does it, driven by the table.

``XenbusFrontend(...).connect(...)`` takes a device from wherever a dead predecessor left it to
Connected and gives its ``RingTransport``; closing that takes the device to Closed and gives every
page and port back.  The table is ``protocol.xenpv.xenbus.FRONTEND``.
"""

from __future__ import annotations

import errno
import select
from contextlib import ExitStack, suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from frontend_stub.ring_setup import FrontRing
from frontend_stub.ring_transport import RingTransport
from protocol.xenpv.device import FRONTEND_CLASS, HandshakeError, frontend_nodes, read_backend_nodes
from protocol.xenpv.ids import DOM0, DOMID_FIRST_RESERVED, Domid
from protocol.xenpv.ports import StoreUnavailable
from protocol.xenpv.xenbus import FRONTEND, Action, XenbusState

if TYPE_CHECKING:
    from backend.platform.platform import Platform
    from protocol.xenpv.ids import Devid
    from protocol.xenpv.ports import StoreView

DEFAULT_RINGS: Final = 2
"""As Linux."""

DEFAULT_ORDER: Final = 9
"""As Linux: 1 MiB each way, which allows the largest msize."""

CONNECT_TIMEOUT: Final = 30.0
"""Seconds for the whole handshake: a backend that has just been started needs one or two."""

CLOSE_TIMEOUT: Final = 5.0
"""Seconds a backend gets to let go of the rings; then the pages go anyway, they are ours."""

REFUSAL_GRACE: Final = 3.0
"""Seconds a closed backend with an ``error`` gets to check again and come back after all."""

_REFUSING: Final = frozenset((XenbusState.CLOSING, XenbusState.CLOSED))

_USED: Final = frozenset(
    (XenbusState.INIT_WAIT, XenbusState.INITIALISED, XenbusState.CONNECTED, XenbusState.CLOSING)
)
"""States in which a frontend that died may have left its node."""

_WATCH: Final = "backend"

_MAX_REASON: Final = 500


class XenbusFrontend:
    """Device ``devid`` of our own domain; not connected yet."""

    def __init__(self, platform: Platform, devid: Devid, owned: ExitStack) -> None:
        """``owned`` is closed after the device, also when this fails.

        Raises ``OSError``: ENODEV where our domain has no such device.
        """
        self._domid = platform.own_domid
        self._devid = devid
        self._platform = platform
        self.close_timeout = CLOSE_TIMEOUT
        self._path = f"device/{FRONTEND_CLASS}/{devid}"
        self._own = XenbusState.UNKNOWN
        self._rings: list[FrontRing] = []
        with ExitStack() as undo:
            undo.push(owned)
            self._store = platform.store()
            undo.callback(self._store.close)
            backend = self._text("backend")
            if backend is None:
                raise OSError(errno.ENODEV, f"{self.name} has no backend; attach it in Dom0")
            self._backend = backend
            self._backend_id = self._domid_of_backend()
            self._store.watch(f"{self._backend}/state", _WATCH)
            self._resources = undo.pop_all()

    @property
    def name(self) -> str:
        """The device, as error messages name it."""
        return f"9pfs device {self._devid} of domain {self._domid}"

    def connect(
        self,
        rings: int = DEFAULT_RINGS,
        order: int = DEFAULT_ORDER,
        timeout: float = CONNECT_TIMEOUT,
    ) -> RingTransport:
        """Shake hands; ``rings`` rings of ``2**order`` pages, or as much of both as is accepted.

        Raises ``OSError``: ETIMEDOUT when the backend does not come, ECONNREFUSED with its reason
        when it closes the device, EPROTO when what it offers makes no sense.  The device is closed
        then, and everything given back.
        """
        deadline = monotonic() + timeout
        try:
            self._events = self._platform.event_channels()
            self._resources.callback(self._events.close)
            self._start_over(deadline)
            refused_by = min(deadline, monotonic() + REFUSAL_GRACE)
            while self._own is not XenbusState.CONNECTED:
                state = self._backend_state()
                step = FRONTEND.get((self._own, state))
                if step is None:
                    refused = state in _REFUSING and self._reason() is not None
                    self._wait(refused_by if refused else deadline)
                    continue
                if step.action is Action.PUBLISH:
                    self._publish(rings, order)
                elif step.action is Action.SHUT:
                    raise self._closed(ConnectionRefusedError, errno.ECONNREFUSED)
                self._write_state(step.next)
            return RingTransport(self._rings, self._events, self)
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Polls readable when ``check`` has something to look at."""
        return self._store.fileno()

    def check(self) -> None:
        """Raise ``ConnectionResetError`` if the backend is not connected any more."""
        try:
            if not self._store.events():
                return
            state = self._backend_state()
        except (StoreUnavailable, TimeoutError):
            return  # the rings work without XenStore; its return is another event
        if (self._own, state) in FRONTEND:
            raise self._closed(ConnectionResetError, errno.ECONNRESET)

    def close(self) -> None:
        """Close the device, if it is open, and give everything back.  Idempotent."""
        try:
            if self._own in _USED:
                with suppress(OSError):
                    self._shut(monotonic() + self.close_timeout)
        finally:
            for ring in self._rings:
                ring.close()
            self._rings.clear()
            if self._own in (XenbusState.CLOSING, XenbusState.INITIALISING):
                # The next one begins with a change of state, which makes the backend look again.
                with suppress(OSError):
                    self._write_state(XenbusState.CLOSED)
            self._own = XenbusState.UNKNOWN
            self._resources.close()

    def _start_over(self, deadline: float) -> None:
        """From whatever a predecessor left to Initialising."""
        self._own = XenbusState.parse(self._read("state") or b"")
        if self._own in _USED:
            self._shut(deadline)
            self._write_state(XenbusState.CLOSED)
        if self._own is not XenbusState.INITIALISING:
            self._write_state(XenbusState.INITIALISING)

    def _shut(self, deadline: float) -> None:
        """Go to Closing and wait until the backend has let go of the rings."""
        self._write_state(XenbusState.CLOSING)
        while (self._own, self._backend_state()) not in FRONTEND:
            self._wait(deadline)

    def _publish(self, rings: int, order: int) -> None:
        """Share rings and offer them, in one transaction."""
        try:
            offer = read_backend_nodes(lambda name: _read(self._store, f"{self._backend}/{name}"))
        except HandshakeError as error:
            raise OSError(errno.EPROTO, f"the backend's {error}", self.name) from error
        self._share(min(rings, offer.max_rings), min(order, offer.max_ring_page_order))
        nodes = frontend_nodes([ring.offer for ring in self._rings])

        def write(view: StoreView) -> None:
            for name, value in nodes.items():
                view.write(f"{self._path}/{name}", value)

        self._store.transact(write)

    def _share(self, rings: int, order: int) -> None:
        """Make the rings, of ``order`` or the largest that there are grants for.

        Linux lets all programs of a domain together have 1024 pages (xen-gntalloc's parameter
        ``limit``), which are two less than two rings of order 9 need.
        """
        sharer = self._platform.grant_sharer()
        try:
            while len(self._rings) < rings:
                name = f"ring {len(self._rings)}"
                try:
                    ring = FrontRing(sharer, self._events, self._backend_id, order, name)
                except OSError as error:
                    if error.errno != errno.ENOSPC or order == 1:
                        raise
                    order -= 1
                    while self._rings:
                        self._rings.pop().close()
                else:
                    self._rings.append(ring)
        finally:
            sharer.close()

    def _wait(self, deadline: float) -> None:
        """Wait for a change of the backend's state."""
        poll = select.poll()
        poll.register(self._store.fileno(), select.POLLIN)
        if not poll.poll(max(0.0, deadline - monotonic()) * 1000):
            state = self._backend_state()
            if state in _REFUSING and self._reason() is not None:
                raise self._closed(ConnectionRefusedError, errno.ECONNREFUSED)
            raise TimeoutError(
                errno.ETIMEDOUT,
                f"the backend stays in state {state.value} ({state.name}) while we are in "
                f"{self._own.value} ({self._own.name}): is xen-fileproxy running in its domain?",
                self.name,
            )
        self._store.events()

    def _backend_state(self) -> XenbusState:
        return XenbusState.parse(_read(self._store, f"{self._backend}/state") or b"")

    def _write_state(self, state: XenbusState) -> None:
        self._store.write(f"{self._path}/state", b"%d" % state)
        self._own = state

    def _closed(self, kind: type[ConnectionError], number: int) -> ConnectionError:
        """The backend has closed the device, and why."""
        reason = self._reason() or "it gave no reason"
        return kind(number, f"the backend closed the device: {reason}", self.name)

    def _reason(self) -> str | None:
        """The backend's ``error`` node, fit to be shown."""
        value = None
        with suppress(OSError):
            value = _read(self._store, f"{self._backend}/error")
        if not value:
            return None
        text = value[:_MAX_REASON].decode(errors="replace")
        return "".join(char if char.isprintable() else "?" for char in text)

    def _domid_of_backend(self) -> Domid:
        text = self._text("backend-id") or str(DOM0)
        if not (text.isascii() and text.isdigit() and int(text) < DOMID_FIRST_RESERVED):
            raise OSError(errno.EPROTO, f"backend-id is {text!r}; it must be a domid", self.name)
        return Domid(int(text))

    def _read(self, name: str) -> bytes | None:
        return _read(self._store, f"{self._path}/{name}")

    def _text(self, name: str) -> str | None:
        value = self._read(name)
        return None if value is None else value.decode(errors="replace")


def _read(store: StoreView, path: str) -> bytes | None:
    """A node's value; ``None`` where there is none, or none for us."""
    try:
        return store.read(path)
    except (FileNotFoundError, PermissionError):
        return None
