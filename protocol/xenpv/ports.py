"""What the protocol needs of a platform, as ``typing.Protocol``s: pages, grants, events, store.

Real Xen (``backend.platform.xen``) and the embedded hypervisor (``backend.platform.embedded``)
implement them; the same contract suite (``tests/contract``) runs against both.  Every method that
asks the platform for something raises ``OSError`` with the errno that Xen's libraries would set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocol.xenpv.ids import Domid, Evtchn, Gref

PAGE_SIZE = 4096
"""A grant covers one Xen page, whatever the page size of either kernel."""

T = TypeVar("T")

Names = list[str]
Events = list[tuple[str, str]]


class SharedPages(Protocol):
    """A contiguous range of this process's addresses whose pages another domain can write too."""

    @property
    def memory(self) -> memoryview:
        """The range: writable, format ``B``, ``len`` a multiple of ``PAGE_SIZE``."""

    def close(self) -> None:
        """Unmap.  Any use of ``memory`` or a slice of it afterwards is a use after free."""


class GrantedPages(SharedPages, Protocol):
    """Pages of our own that we granted to another domain, in the order of ``grefs``."""

    @property
    def grefs(self) -> tuple[Gref, ...]:
        """One reference per page of ``memory``, in its order; not necessarily consecutive."""


class GrantMapper(Protocol):
    """Maps what other domains granted to us: ``/dev/xen/gntdev``, libxengnttab."""

    def map(self, domid: Domid, grefs: Sequence[Gref]) -> SharedPages:
        """Map ``grefs`` of ``domid``, in the order given, as one contiguous writable range.

        Raises ``OSError``: EINVAL for an empty list, a reference that was never granted, was
        granted to somebody else or read-only, or a domain that is gone.
        """

    def begin_again(self) -> None:
        """Give back what another process has mapped through this handle, and died with.

        Whatever that one was doing when it died, the handle is this process's alone from now on.
        Raises ``OSError``.
        """

    def close(self) -> None:
        """Give the handle back.  Ranges already mapped stay until each is closed."""


class GrantSharer(Protocol):
    """Grants pages of our own to another domain: ``/dev/xen/gntalloc``, libxengntshr."""

    def share(self, domid: Domid, count: int) -> GrantedPages:
        """Allocate ``count`` zeroed pages that ``domid`` may map read-write.

        Raises ``OSError``: EINVAL if ``count`` is not positive, ENOSPC when no grants are left.
        """

    def close(self) -> None:
        """Give the handle back.  Ranges already shared stay until each is closed."""


class OpenChannels(NamedTuple):
    """Event channels in use, as one process tells them to the one that is to go on with them."""

    descriptors: tuple[int, ...]
    """Whatever the platform needs, in an order of its own: numbers of the teller's."""
    ports: tuple[Evtchn, ...]


class EventChannels(Protocol):
    """One handle of ``/dev/xen/evtchn`` (libxenevtchn); closing it unbinds all its ports."""

    def fileno(self) -> int:
        """A descriptor that polls readable while an unmasked port is pending."""

    def alloc_unbound(self, remote: Domid) -> Evtchn:
        """A new port that only ``remote`` may bind to."""

    def bind_interdomain(self, remote: Domid, remote_port: Evtchn) -> Evtchn:
        """Bind to a port that ``remote`` offered us; the new local port is pending at once.

        Raises ``OSError``: EINVAL when that port is not offered to us or is already bound,
        ESRCH when there is no such domain.
        """

    def notify(self, port: Evtchn) -> None:
        """Make the other end pending.  Into an unbound port it is lost silently, as in Xen."""

    def pending(self) -> Evtchn | None:
        """The next pending port, which is masked by this call, or ``None``.  Never waits.

        An event that comes while the port is masked is kept, and seen after ``unmask``.
        """

    def unmask(self, port: Evtchn) -> None:
        """Let ``port`` become pending again."""

    def unbind(self, port: Evtchn) -> None:
        """Close a port of ours.  The other end becomes unbound and can be bound to again."""

    def restrict(self, domid: Domid) -> None:
        """Give up for good binding to any other domain than ``domid``, and all ``alloc_unbound``:
        ``PermissionError`` then.
        """

    def described(self) -> OpenChannels:
        """What another process needs to go on with this handle, when this one uses it no more."""

    def close(self) -> None:
        """Unbind everything and give the handle back."""


class StoreView(Protocol):
    """XenStore's nodes, directly or within a transaction.

    Paths are absolute, or relative to ``/local/domain/<own domid>``.  Errors are ``OSError``s
    with XenStore's errno (``FileNotFoundError``, ``PermissionError``, EAGAIN, EINVAL, E2BIG...);
    ``StoreUnavailable`` (ENOTCONN) when the daemon cannot be reached, ``TimeoutError`` when it did
    not answer in time.  No call waits without a bound.
    """

    def read(self, path: str) -> bytes:
        """A node's value as it stands: any bytes, whoever wrote them."""

    def write(self, path: str, value: bytes) -> None:
        """Set a value; missing parents are created."""

    def mkdir(self, path: str) -> None:
        """Create an empty node, and its parents; no error if it is there."""

    def rm(self, path: str) -> None:
        """Remove a node and all below it; no error if it is not there but its parent is."""

    def list(self, path: str) -> Names:
        """The names of a node's children."""

    def get_permissions(self, path: str) -> Names:
        """Permissions as XenStore writes them: ``n0``, ``r5``, ``w5``, ``b5``; the owner first."""

    def set_permissions(self, path: str, permissions: Sequence[str]) -> None:
        """Replace a node's permissions; the first names its owner and everybody's default."""


class Store(StoreView, Protocol):
    """A connection to XenStore that outlives the daemon: it reconnects and sets watches again."""

    def transact(self, body: Callable[[StoreView], T]) -> T:
        """Run ``body`` in a transaction and commit; on EAGAIN again, a bounded number of times."""

    def introduced(self, domid: Domid) -> bool:
        """Whether the domain was created and is not dying; its nodes may outlive it a little."""

    def watch(self, path: str, token: str) -> None:
        """Report changes at and below ``path``; one event comes at once and at each reconnect."""

    def unwatch(self, path: str, token: str) -> None:
        """Stop reporting; events already queued may still come."""

    def events(self) -> Events:
        """All queued ``(path, token)`` events, oldest first.  Never waits."""

    def fileno(self) -> int:
        """A descriptor that polls readable while ``events`` has something."""

    def close(self) -> None:
        """Disconnect; a waiting call in another thread ends with ``StoreUnavailable``."""


class StoreUnavailable(ConnectionError):  # noqa: N818 -- states a condition, as ConnectionRefusedError does not
    """XenStore cannot be reached now; the store keeps trying, the caller may try again later."""
