"""From what a user names (a platform and a device, or an address) to a connected client.

>>> with Share.attach(connect_device("embedded:/run/lab", Domid(7), tag="state")) as share:
...     share.listdir()
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from frontend_stub.client import DEFAULT_TIMEOUT, Client

if TYPE_CHECKING:
    from protocol.xenpv.ids import Domid

LOCK_TIMEOUT: Final = 10.0
"""Seconds to wait for another process that uses the device: longer than a small command takes."""


def connect_device(
    platform: str,
    domid: Domid,
    *,
    tag: str | None = None,
    devid: int | None = None,
    rings: int = 2,
    order: int = 9,
    msize: int | None = None,
    timeout: float = DEFAULT_TIMEOUT,
) -> Client:
    """Connect to a 9pfs device of domain ``domid``: by ``tag`` or ``devid``, or the only one.

    ``rings`` (Linux has 2, Mini-OS 1) of ``2**order`` pages each are offered; the backend may
    accept fewer and smaller ones.  ``msize`` is in bytes, ``timeout`` in seconds for each answer.
    Raises ``OSError``: ENODEV, EBUSY when another process has the device, ETIMEDOUT or
    ECONNREFUSED when the backend does not come or refuses, with its reason.
    """
    from backend.platform import open_platform
    from frontend_stub.device_lock import DeviceLock
    from frontend_stub.devices import find_device
    from frontend_stub.xenbus_frontend import XenbusFrontend

    with ExitStack() as undo:
        opened = open_platform(platform, domid=domid)
        undo.callback(opened.close)
        store = opened.store()
        try:
            number = find_device(store, tag, devid)
        finally:
            store.close()
        where = os.path.realpath(platform.partition(":")[2])
        lock = DeviceLock(f"9pfs device {number} of domain {domid} on {where}", LOCK_TIMEOUT)
        undo.callback(lock.close)
        frontend = XenbusFrontend(opened, number, undo.pop_all())
    return Client.connect(frontend.connect(rings, order), msize, timeout)


def connect_socket(
    address: str, *, msize: int | None = None, timeout: float = DEFAULT_TIMEOUT
) -> Client:
    """Connect to a 9P server at ``unix:PATH`` or ``tcp:HOST:PORT``.

    Raises ``ValueError`` for another form of address, ``OSError`` when nobody answers there.
    """
    from frontend_stub.socket_transport import SocketTransport

    return Client.connect(SocketTransport.connect(address), msize, timeout)
