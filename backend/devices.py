"""The devices that XenStore knows, whether a supervisor runs or not.

A guest owns its end of a device and may write there what it likes.  What a device *is* called is
therefore read from our own end, where ``attach`` leaves the tag; only a device that another
toolstack made is known by the tag in its guest's end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from backend.supervisor.inventory import take_inventory
from backend.supervisor.keys import DeviceKey, backend_root
from backend.supervisor.nodes import DeviceNodes
from protocol.xenpv.nodes import value_of

if TYPE_CHECKING:
    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Store, StoreView
    from protocol.xenpv.xenbus import XenbusState

MAX_TAG: Final = 255
"""Bytes of a tag; what a guest wrote beyond them is not looked at."""

_MAX_ERROR: Final = 1024


class Listed(NamedTuple):
    """A device, and how both its ends are."""

    key: DeviceKey
    tag: str | None
    state: XenbusState
    frontend: XenbusState
    path: str | None
    error: str | None


class DeviceError(Exception):
    """No device is meant, or several may be; the text names those that there are."""


def list_devices(store: Store, own: Domid, domid: Domid | None = None) -> list[Listed]:
    """All devices that ``own`` serves, or those of one domain, in order.  Raises ``OSError``."""
    root = backend_root(own)
    found = []
    for key in sorted(take_inventory(store, root).devices):
        if domid is None or key.domid == domid:
            device = _look(store, root, key)
            if device is not None:
                found.append(device)
    return found


def find_device(store: Store, own: Domid, domid: Domid, tag: str | None) -> DeviceKey:
    """The domain's device with that tag, or without ``tag`` its only one.

    Raises ``DeviceError``, ``OSError``.
    """
    devices = list_devices(store, own, domid)
    if not devices:
        raise DeviceError(f"domain {domid} has no device of ours")
    found = [device for device in devices if tag is None or device.tag == tag]
    if len(found) == 1:
        return found[0].key
    there = ", ".join(f'{device.key.devid} (tag "{device.tag}")' for device in found or devices)
    if not found:
        raise DeviceError(f'domain {domid} has no device with the tag "{tag}", but {there}')
    raise DeviceError(f"domain {domid} has several, choose one with --devid: {there}")


def read_tag(view: StoreView, end: str) -> str | None:
    """The tag in one end of a device.  Raises ``OSError``."""
    value = value_of(view, f"{end}/tag")
    return None if value is None else value[:MAX_TAG].decode(errors="replace")


def _look(store: Store, root: str, key: DeviceKey) -> Listed | None:
    nodes = DeviceNodes(store, root, key)
    seen = nodes.look()
    if seen is None:
        return None
    error = value_of(store, f"{nodes.backend}/error")
    return Listed(
        key=key,
        tag=read_tag(store, nodes.backend) or seen.tag,
        state=seen.own,
        frontend=seen.frontend,
        path=nodes.shown(),
        error=None if error is None else error[:_MAX_ERROR].decode(errors="replace"),
    )
