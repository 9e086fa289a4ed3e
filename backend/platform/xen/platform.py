"""The platform that is real Xen, for Dom0 and for a guest alike.

What needs Xen's libraries is loaded when it is asked for: most commands ask XenStore alone, and to
read the libraries' declarations takes longer than all that they do.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Final

from backend.platform.xen.presence import under_xen
from protocol.xenpv.ids import DOMID_FIRST_RESERVED, Domid

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.platform.xen.event_handle import XenEventChannels
    from backend.platform.xen.grant_handles import XenGrantMapper, XenGrantSharer
    from protocol.xenpv.ports import OpenChannels, Store

_SOCKET: Final = "/run/xenstored/socket"
_DEVICES: Final = ("/dev/xen/xenbus", "/proc/xen/xenbus")
"""Where libxenstore looks, in its order: a daemon in this domain, the kernel's way to another."""


class XenPlatform:
    """``Platform`` for a process under Xen, in whatever domain it runs; it holds nothing itself."""

    def __init__(self) -> None:
        self._own_domid: Domid | None = None

    @property
    def own_domid(self) -> Domid:
        """As XenStore knows us, asked once.  Raises ``OSError``."""
        if self._own_domid is None:
            with contextlib.closing(self.store()) as store:
                try:
                    text = store.read("domid")
                except FileNotFoundError:
                    raise OSError(
                        errno.ENOENT,
                        "XenStore does not say which domain this is (node domid); "
                        "in Dom0, xen-init-dom0 writes it",
                    ) from None
            self._own_domid = _domid(text)
        return self._own_domid

    def grant_mapper(self) -> XenGrantMapper:
        """A new handle.  Raises ``OSError``."""
        from backend.platform.xen.grant_handles import XenGrantMapper

        return XenGrantMapper()

    def grant_sharer(self) -> XenGrantSharer:
        """A new handle.  Raises ``OSError``."""
        from backend.platform.xen.grant_handles import XenGrantSharer

        return XenGrantSharer()

    def event_channels(self) -> XenEventChannels:
        """A new handle.  Raises ``OSError``."""
        from backend.platform.xen.event_handle import XenEventChannels

        return XenEventChannels()

    def event_channel_adopter(self) -> Callable[[OpenChannels], XenEventChannels]:
        """Go on with another process's handle.  Raises ``OSError``."""
        from backend.platform.xen.event_handle import XenEventChannels, load_for_events

        load_for_events()
        return XenEventChannels

    def store(self) -> Store:
        """A new connection to XenStore.  Raises ``OSError``."""
        from backend.platform.store import connect_store

        socket = os.environ.get("XENSTORED_PATH", _SOCKET)
        if os.path.exists(socket):
            return connect_store(socket)
        for device in _DEVICES:
            if os.path.exists(device):
                return connect_store(device, xenbus=True)
        raise OSError(errno.ENOENT, _no_store(socket))

    def close(self) -> None:
        """Nothing to give back: each handle is closed by itself."""


def _domid(text: bytes) -> Domid:
    if not text.isdigit() or len(text) > 5 or int(text) >= DOMID_FIRST_RESERVED:
        raise OSError(errno.EPROTO, f"XenStore says that this is domain {text!r}")
    return Domid(int(text))


def _no_store(socket: str) -> str:
    missing = f"XenStore cannot be reached: there is neither {socket} nor {_DEVICES[0]}"
    if under_xen():
        return f"{missing}; in Dom0, start xenstored; in a guest, mount a devtmpfs on /dev"
    return (
        f"{missing}; this machine does not run under Xen (/sys/hypervisor/type). Without it, start "
        "the embedded hypervisor with: xen-fileproxy embedded run --dir RUNDIR, and name it as "
        "embedded:RUNDIR"
    )
