"""XenStore through pyxs, for programs that outlive the daemon (``protocol.xenpv.ports.Store``).

pyxs is unmaintained.  It builds the requests and opens the connections; ``store_link``,
``store_view`` and ``store_transport`` say what of it is replaced and why.
"""

from __future__ import annotations

import errno
import random
import time
from typing import TYPE_CHECKING, Final, TypeVar

from backend.platform.store_events import EventQueue
from backend.platform.store_reconnect import Connector
from backend.platform.store_transport import Channel
from backend.platform.store_view import TransactionView, View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Events, Names, Store, StoreView

T = TypeVar("T")

ATTEMPTS: Final = 20
"""Runs of a transaction that conflicts every time."""

LONGEST_PAUSE: Final = 0.1
"""Seconds at most between two runs; the pauses are random and grow."""


def connect_store(path: str, *, timeout: float = 5.0, xenbus: bool = False) -> Store:
    """Connect to the daemon's unix socket, or (``xenbus``) through the kernel's device, in a guest.

    ``timeout`` bounds the wait for each answer, in seconds.  Raises ``StoreUnavailable`` if there
    is no daemon now; later, losing it is logged and it is connected to again.
    """
    return ReconnectingStore(lambda: Channel(path, timeout=timeout, xenbus=xenbus), timeout)


class ReconnectingStore:
    """``protocol.xenpv.ports.Store``.  Any thread may call anything."""

    def __init__(self, open_channel: Callable[[], Channel], timeout: float) -> None:
        """Connect.  Raises ``StoreUnavailable``."""
        self._timeout = timeout
        self._events = EventQueue()
        try:
            self._connector = Connector(open_channel, timeout, self._events.put)
        except BaseException:
            self._events.close()
            raise

    def read(self, path: str) -> bytes:
        """A node's value as it stands: any bytes, whoever wrote them."""
        return self._view().read(path)

    def write(self, path: str, value: bytes) -> None:
        """Set a value; missing parents are created."""
        self._view().write(path, value)

    def mkdir(self, path: str) -> None:
        """Create an empty node, and its parents; no error if it is there."""
        self._view().mkdir(path)

    def rm(self, path: str) -> None:
        """Remove a node and all below it; no error if it is not there but its parent is."""
        self._view().rm(path)

    def list(self, path: str) -> Names:
        """The names of a node's children, however many."""
        return self._view().list(path)

    def get_permissions(self, path: str) -> Names:
        """Permissions as XenStore writes them, the owner first."""
        return self._view().get_permissions(path)

    def set_permissions(self, path: str, permissions: Sequence[str]) -> None:
        """Replace a node's permissions; the first names its owner and everybody's default."""
        self._view().set_permissions(path, permissions)

    def transact(self, body: Callable[[StoreView], T]) -> T:
        """Run ``body`` in a transaction and commit; on a conflict run it again.

        What ``body`` raises ends the transaction without effect.  Raises ``BlockingIOError``
        (EAGAIN) when ``ATTEMPTS`` runs conflicted.  After ``StoreUnavailable`` or ``TimeoutError``
        nobody knows whether the commit took place.
        """
        for attempt in range(ATTEMPTS):
            view = TransactionView(self._connector.link(), self._timeout)
            try:
                result = body(view)
            except BaseException:
                view.abort()
                raise
            try:
                view.commit()
            except BlockingIOError:
                # Others are at the same nodes: let one of us through.
                pause = min(LONGEST_PAUSE, 0.001 * 2**attempt)
                time.sleep(pause * random.random())  # noqa: S311 -- spreads, hides nothing
            else:
                return result
        raise OSError(errno.EAGAIN, f"{ATTEMPTS} transactions in a row conflicted with others")

    def introduced(self, domid: Domid) -> bool:
        """Whether the domain was created and is not dying.  Only Dom0 may ask."""
        return self._view().introduced(domid)

    def watch(self, path: str, token: str) -> None:
        """Report changes at and below ``path``; one event comes at once, and after each reconnect.

        Raises ``OSError``: EEXIST for the same path and token again; after any error the watch is
        not set.
        """
        self._connector.watch(path, token)

    def unwatch(self, path: str, token: str) -> None:
        """Stop reporting; events already queued may still come.  Raises ``OSError`` ENOENT."""
        self._connector.unwatch(path, token)

    def events(self) -> Events:
        """All queued ``(path, token)`` events, oldest first, equal ones once.  Never waits."""
        return self._events.take()

    def fileno(self) -> int:
        """A descriptor that polls readable while ``events`` has something; -1 once closed."""
        return self._events.fileno()

    def close(self) -> None:
        """Disconnect; a waiting call in another thread ends with ``StoreUnavailable``."""
        self._connector.close()
        self._events.close()

    def _view(self) -> View:
        return View(self._connector.link(), self._timeout)
