"""What a toolstack does around a domain's life: its XenStore socket, home node, introduction.

As libxl: ``/local/domain/<domid>`` belongs to the guest (``n<domid>``), the guest is introduced
after its nodes exist (``@introduceDomain``); when it is gone ``@releaseDomain`` fires first, as
xenstored notices by itself, then the nodes are removed.  Nodes under ``backend/`` are left alone:
for a kind that libxl does not know, it leaves them to the backend.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Protocol

from protocol.xenpv.ids import DOM0, Domid

if TYPE_CHECKING:
    import selectors

XENSTORED = "xenstored"


def dom0_store(rundir: str) -> str:
    """Dom0's XenStore socket; also the value of XENSTORED_PATH for Debian's xenstore tools."""
    return os.path.join(rundir, XENSTORED)


def guest_store(rundir: str, domid: Domid) -> str:
    """A guest's XenStore socket: a connection to it is that guest."""
    return os.path.join(rundir, "domain", str(domid), XENSTORED)


def check_path(path: str) -> None:
    """Raise ``OSError`` (ENAMETOOLONG) for a path that no unix socket can have."""
    if len(os.fsencode(path)) > 107:
        raise OSError(
            errno.ENAMETOOLONG, f"{path} is too long for a unix socket; choose a shorter directory"
        )


class StoreServer(Protocol):
    """What is asked of the XenStore server."""

    def listen(self, path: str, domid: Domid) -> None:
        """Accept connections of ``domid`` at ``path``."""

    def introduce(self, domid: Domid) -> None:
        """The domain has come."""

    def release(self, domid: Domid) -> None:
        """The domain has gone."""

    def close(self) -> None:
        """End all connections."""


class _NoStore:
    """Until there is a XenStore server."""

    def listen(self, path: str, domid: Domid) -> None: ...
    def introduce(self, domid: Domid) -> None: ...
    def release(self, domid: Domid) -> None: ...
    def close(self) -> None: ...


def _store_server(selector: selectors.BaseSelector) -> StoreServer:
    try:
        from backend.platform.embedded.xenstore import XenStoreServer
    except ModuleNotFoundError:
        return _NoStore()
    return XenStoreServer(selector)


class StoreToolstack:
    """Drives the XenStore server of the same process."""

    def __init__(self, rundir: str, selector: selectors.BaseSelector) -> None:
        self._rundir = rundir
        check_path(guest_store(rundir, Domid(0x7FEF)))
        os.makedirs(os.path.join(rundir, "domain"), mode=0o700, exist_ok=True)
        self._store = _store_server(selector)
        self._store.listen(dom0_store(rundir), DOM0)

    def created(self, domid: Domid) -> None:
        """A domain was created: its socket, its nodes, its introduction."""
        path = guest_store(self._rundir, domid)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        self._store.listen(path, domid)
        self._store.introduce(domid)

    def destroyed(self, domid: Domid) -> None:
        """A domain is gone: its connections, its nodes, its socket."""
        self._store.release(domid)
        path = guest_store(self._rundir, domid)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(path))

    def close(self) -> None:
        """The hypervisor ends."""
        self._store.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(dom0_store(self._rundir))
        with contextlib.suppress(OSError):
            os.rmdir(os.path.join(self._rundir, "domain"))
