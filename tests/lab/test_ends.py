"""Guests come and go, also in the middle of a write, and leave nothing behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from protocol.xenpv.nodes import names_below
from tests.lab.guests import Guest, domains, together, xl
from tests.lab.service import attach, command, mount, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protocol.xenpv.ports import Store
    from tests.lab.service import Service

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


def held(service: Service, store: Store) -> dict[str, object]:
    """What devices may leave behind in Dom0: nodes, processes, descriptors, event channels."""
    with open("/proc/interrupts", encoding="ascii") as file:
        channels = [line.split()[-1] for line in file if "evtchn:python3" in line]
    return {
        "devices": names_below(store, "/local/domain/0/backend/xen_9pfs"),
        "descriptors": len(os.listdir(f"/proc/{service.pid}/fd")),
        "workers": service.workers(),
        "event channels": channels,
        "domains": domains(),
    }


@pytest.fixture(autouse=True)
def _nothing_is_left(service: Service, store: Store) -> Iterator[None]:
    """After each test Dom0 holds what it held before, soon."""
    service.devices()
    before = held(service, store)
    yield
    until(lambda: held(service, store) == before, 60, "something is left")


def in_use(guest: Guest, export: Path, options: str = "cache=none") -> None:
    """Give it the share, mounted."""
    attach(guest.domid, export)
    guest.check(mount(options=options))


def test_a_guest_that_is_destroyed_in_the_middle_of_a_write(export: Path) -> None:
    with Guest() as guest:
        in_use(guest, export)
        guest.begin("dd if=/dev/zero of=/mnt/share/big bs=64k count=10000")
        until(lambda: (export / "big").exists() and (export / "big").stat().st_size, 60, "no write")
        xl("destroy", str(guest.domid))
        stopped = (export / "big").stat().st_size
        assert 0 < stopped < 10000 * 65536


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_fifty_guests_that_come_and_go(export: Path) -> None:
    for _ in range(10):
        with together(5) as guests:
            for guest in guests:  # each is of some use
                in_use(guest, export)
                guest.check(f"echo {guest.domid} > /mnt/share/{guest.name}")
                assert (export / guest.name).read_text() == f"{guest.domid}\n"
    assert len(os.listdir(export)) == 50


POWEROFF = """
mkdir -p /sbin
printf '#!/bin/sh\\n%s\\nexec /bin/poweroff -f\\n' '{first}' >/sbin/poweroff
chmod 755 /sbin/poweroff
"""


@pytest.mark.parametrize("first", ["umount /mnt/share", "sync"])
def test_a_guest_that_shuts_down_with_and_without_unmounting(export: Path, first: str) -> None:
    with Guest() as guest:
        in_use(guest, export, "cache=loose")
        guest.check("seq 100000 >/mnt/share/numbers" + POWEROFF.format(first=first))
        xl("shutdown", "-w", str(guest.domid))
        until(lambda: not guest.alive, 60, "it is still there")
    assert (export / "numbers").read_text().split() == [str(one) for one in range(1, 100001)]


def test_a_share_that_is_taken_from_under_a_mount_can_be_given_again(export: Path) -> None:
    with Guest() as guest:
        in_use(guest, export)
        guest.check("echo hello >/mnt/share/file")
        command("detach", guest.name)
        assert command("list", guest.name) == "no devices\n"
        attach(guest.domid, export)
        guest.check(mount(where="/mnt/again"))
        assert guest.check("cat /mnt/again/file").strip() == "hello"
