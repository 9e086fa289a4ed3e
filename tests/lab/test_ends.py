"""Guests come and go, also in the middle of a write, and leave nothing behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backend.platform import open_platform
from tests.lab.guests import Guest, domains, xl
from tests.lab.service import attach, mount, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.service import Service

pytestmark = pytest.mark.lab

CYCLES = 3


def held(service: Service) -> dict[str, object]:
    """What devices may leave behind in Dom0: nodes, processes, descriptors, event channels."""
    store = open_platform("xen").store()
    try:
        devices = store.list("/local/domain/0/backend/xen_9pfs")
    except FileNotFoundError:
        devices = []
    finally:
        store.close()
    with open("/proc/interrupts", encoding="ascii") as file:
        channels = [line.split()[-1] for line in file if "evtchn:python3" in line]
    return {
        "devices": devices,
        "descriptors": len(os.listdir(f"/proc/{service.pid}/fd")),
        "workers": service.workers(),
        "event channels": channels,
        "domains": domains(),
    }


def test_a_guest_that_is_destroyed_in_the_middle_of_a_write_leaves_nothing(
    service: Service, export: Path
) -> None:
    service.devices()
    before = held(service)
    with Guest() as guest:
        attach(guest.domid, export)
        guest.check(mount("9p2000.L", "cache=none"))
        guest.begin("dd if=/dev/zero of=/mnt/share/big bs=64k count=10000")
        until(lambda: (export / "big").exists() and (export / "big").stat().st_size, 30, "no write")
        xl("destroy", str(guest.domid))
        stopped = (export / "big").stat().st_size
        assert 0 < stopped < 10000 * 65536
    until(lambda: held(service) == before, 30, "something is left")


def test_guests_that_come_and_go_leave_nothing(service: Service, export: Path) -> None:
    service.devices()
    before = held(service)
    for number in range(CYCLES):
        with Guest() as guest:
            attach(guest.domid, export)
            guest.check(mount("9p2000.L", "cache=none"))
            guest.check(f"echo {number} > /mnt/share/file")
            assert (export / "file").read_text() == f"{number}\n"
        until(lambda: held(service) == before, 30, "something is left")
