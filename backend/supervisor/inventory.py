"""What lies below our root in XenStore: devices, names that are none, and dead domains' remains."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from backend.supervisor.keys import DeviceKey, parse_devid, parse_domid
from protocol.xenpv.nodes import names_below, value_of
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Store, StoreView


class Inventory(NamedTuple):
    """What was found."""

    devices: list[DeviceKey]
    misnamed: list[str]
    """Directories at a device's place whose name is not a domain's or a device's number."""


def take_inventory(store: Store, root: str) -> Inventory:
    """All devices below ``root``.  Raises ``OSError`` as a store does."""
    found = Inventory([], [])
    for domain in names_below(store, root):
        domid = parse_domid(domain)
        for name in names_below(store, f"{root}/{domain}"):
            devid = parse_devid(name)
            if domid is None or devid is None:
                found.misnamed.append(f"{root}/{domain}/{name}")
            else:
                found.devices.append(DeviceKey(domid, devid))
    return found


def reject(store: Store, directory: str) -> None:
    """Close what is no device and say why.  Raises ``OSError`` as a store does."""

    def body(view: StoreView) -> None:
        if value_of(view, directory) is None:
            return
        view.write(
            f"{directory}/error",
            b"the last two parts of this path must be a domain's and a device's number",
        )
        view.write(f"{directory}/state", b"%d" % XenbusState.CLOSED)

    store.transact(body)


def sweep(store: Store, root: str) -> list[Domid]:
    """Remove the directories of domains that are no more; which those were.

    libxl leaves a device class it does not know where it is.  Raises ``OSError`` as a store does.
    """
    dead = []
    for name in names_below(store, root):
        domid = parse_domid(name)
        if domid is not None and value_of(store, f"/local/domain/{domid}") is None:
            store.rm(f"{root}/{domid}")
            dead.append(domid)
    return dead
