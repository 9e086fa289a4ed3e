"""Which device a XenStore path belongs to: names only, no I/O."""

from __future__ import annotations

from typing import NamedTuple

from protocol.xenpv.device import BACKEND_CLASS
from protocol.xenpv.ids import DOMID_FIRST_RESERVED, Devid, Domid

MAX_DEVID = 0x7FFF_FFFF


class DeviceKey(NamedTuple):
    """A device: the domain of its frontend, and its number there."""

    domid: Domid
    devid: Devid

    def __str__(self) -> str:
        """As each log line names it: ``d5/0``."""
        return f"d{self.domid}/{self.devid}"


def backend_root(own_domid: Domid) -> str:
    """The directory of all our devices."""
    return f"/local/domain/{own_domid}/backend/{BACKEND_CLASS}"


def parse_domid(name: str) -> Domid | None:
    """The domain a directory's name stands for, or ``None``."""
    number = _canonical(name, DOMID_FIRST_RESERVED - 1)
    return None if number is None else Domid(number)


def parse_devid(name: str) -> Devid | None:
    """The device number a directory's name stands for, or ``None``."""
    number = _canonical(name, MAX_DEVID)
    return None if number is None else Devid(number)


def device_of(root: str, path: str) -> DeviceKey | None:
    """The device whose directory, or a node below it, ``path`` is; else ``None``."""
    if not path.startswith(root + "/"):
        return None
    parts = path[len(root) + 1 :].split("/", 2)
    if len(parts) < 2:
        return None
    domid, devid = parse_domid(parts[0]), parse_devid(parts[1])
    return None if domid is None or devid is None else DeviceKey(domid, devid)


def _canonical(name: str, high: int) -> int | None:
    """The number ``name`` writes; only the one way to write it counts, so that keys are unique."""
    if not (name.isascii() and name.isdigit()) or len(name) > 10 or str(int(name)) != name:
        return None
    number = int(name)
    return number if number <= high else None
