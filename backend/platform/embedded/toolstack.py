"""What a toolstack does around a domain's life: its XenStore socket, its nodes, its introduction.

As libxl (Xen ``tools/libs/light/libxl_create.c``, ``libxl__domain_make``): the guest's home
``/local/domain/<domid>`` is Dom0's and the guest may read it (``n0,r<domid>``); some nodes below it
are the guest's own.  The guest is introduced after its nodes exist (``@introduceDomain``).  When it
is gone, ``@releaseDomain`` fires first, as xenstored notices by itself, then its nodes are removed.
Nodes under ``backend/`` are left alone: libxl leaves those of an unknown kind to the backend.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING
from uuid import uuid4

from backend.platform.embedded.xenstore import XenStoreServer
from protocol.xenpv.ids import DOM0, DOMID_FIRST_RESERVED, Domid

if TYPE_CHECKING:
    import selectors

XENSTORED = "xenstored"


def dom0_store(rundir: str) -> str:
    """Dom0's XenStore socket; also the value of XENSTORED_PATH for Debian's xenstore tools."""
    return os.path.join(rundir, XENSTORED)


def guest_store(rundir: str, domid: Domid) -> str:
    """A guest's XenStore socket: a connection to it is that guest."""
    return os.path.join(rundir, "domain", str(domid), XENSTORED)


def home(domid: Domid) -> str:
    """A domain's directory in XenStore."""
    return f"/local/domain/{domid}"


def check_path(path: str) -> None:
    """Raise ``OSError`` (ENAMETOOLONG) for a path that no unix socket can have."""
    if len(os.fsencode(path)) > 107:
        raise OSError(
            errno.ENAMETOOLONG, f"{path} is too long for a unix socket; choose a shorter directory"
        )


class StoreToolstack:
    """Drives the XenStore server of the same process."""

    def __init__(self, rundir: str, selector: selectors.BaseSelector) -> None:
        self._rundir = rundir
        self._uuids: dict[Domid, str] = {}
        check_path(guest_store(rundir, Domid(DOMID_FIRST_RESERVED - 1)))
        os.makedirs(os.path.join(rundir, "domain"), mode=0o700, exist_ok=True)
        self._store = XenStoreServer(selector)
        self._store.listen(dom0_store(rundir), DOM0)
        # As xen-init-dom0 does at boot.
        self._store.tree.write(f"{home(DOM0)}/domid", b"0")
        self._store.tree.write(f"{home(DOM0)}/name", b"Domain-0")

    def created(self, domid: Domid) -> None:
        """A domain was created: its socket, its nodes, its introduction."""
        path = guest_store(self._rundir, domid)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        self._store.listen(path, domid)
        self._write_nodes(domid)
        self._store.introduce(domid)

    def _write_nodes(self, domid: Domid) -> None:
        tree = self._store.tree
        readable, own = [f"n{DOM0}", f"r{domid}"], [f"n{domid}"]
        uuid = self._uuids[domid] = str(uuid4())
        name = b"embedded-%d" % domid
        tree.mkdir(home(domid), readable)
        tree.mkdir(f"/vm/{uuid}", readable)
        for path, value in {
            f"{home(domid)}/vm": f"/vm/{uuid}".encode(),
            f"{home(domid)}/name": name,
            f"{home(domid)}/domid": b"%d" % domid,
            f"/vm/{uuid}/uuid": uuid.encode(),
            f"/vm/{uuid}/name": name,
        }.items():
            tree.write(path, value, readable)
        for directory in ("device", "control", "memory", "cpu"):
            tree.mkdir(f"{home(domid)}/{directory}", readable)
        for directory in ("control/shutdown", "data", "drivers", "feature", "attr", "error"):
            tree.mkdir(f"{home(domid)}/{directory}", own)

    def destroyed(self, domid: Domid) -> None:
        """A domain is gone: its connections and socket, then its nodes."""
        self._store.release(domid)
        uuid = self._uuids.pop(domid, None)
        for path in (home(domid), f"/vm/{uuid}"):
            if self._store.tree.exists(path):
                self._store.tree.remove(path)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(guest_store(self._rundir, domid)))

    def close(self) -> None:
        """The hypervisor ends."""
        self._store.close()
        with contextlib.suppress(OSError):
            os.rmdir(os.path.join(self._rundir, "domain"))
