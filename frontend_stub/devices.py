"""Which 9pfs devices our domain has: by device number, by mount tag, or the only one."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from protocol.xenpv.device import FRONTEND_CLASS
from protocol.xenpv.ids import Devid
from protocol.xenpv.nodes import names_below

if TYPE_CHECKING:
    from protocol.xenpv.ports import StoreView


class FoundDevice(NamedTuple):
    """A device as the toolstack attached it."""

    devid: Devid
    tag: str


def list_devices(store: StoreView) -> list[FoundDevice]:
    """All 9pfs devices of the domain that ``store`` is connected as, by number."""
    names = names_below(store, f"device/{FRONTEND_CLASS}")
    numbers = sorted(int(name) for name in names if name.isascii() and name.isdigit())
    return [FoundDevice(Devid(number), _tag(store, number)) for number in numbers]


def find_device(store: StoreView, tag: str | None = None, devid: int | None = None) -> Devid:
    """The device asked for; without ``tag`` and ``devid``, the only one there is.

    Raises ``OSError``: ENODEV where there is none such, EINVAL where there are several.
    """
    found = list_devices(store)
    wanted = [
        device
        for device in found
        if (devid is None or device.devid == devid) and (tag is None or device.tag == tag)
    ]
    if len(wanted) == 1:
        return wanted[0].devid
    there = ", ".join(f"{device.devid} (tag {device.tag})" for device in found) or "none"
    if not wanted:
        asked = [f"tag {tag}"] if tag is not None else []
        asked += [f"number {devid}"] if devid is not None else []
        what = f" with {' and '.join(asked)}" if asked else ""
        raise OSError(errno.ENODEV, f"no 9pfs device{what}; devices of this domain: {there}")
    raise OSError(errno.EINVAL, f"several 9pfs devices, choose one with --tag or --device: {there}")


def _tag(store: StoreView, devid: int) -> str:
    try:
        return store.read(f"device/{FRONTEND_CLASS}/{devid}/tag").decode(errors="replace")
    except (FileNotFoundError, PermissionError):
        return "unknown"
