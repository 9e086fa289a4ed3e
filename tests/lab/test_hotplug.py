"""The hotplug script, called by libxl, by udev and by hand: it has the program run, and waits."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from protocol.xenpv.nodes import names_below, value_of
from tests.lab.guests import Guest
from tests.lab.service import attach, command, mount, serves, until
from tests.lab.unit import SYSTEMD, UNIT, systemctl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protocol.xenpv.ports import Store
    from tests.lab.service import Service

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]
udev = pytest.mark.skipif(not SYSTEMD.is_dir(), reason="there is no udev: --init systemd has it")

SCRIPT: Final = "/etc/xen/scripts/fileproxy"
SLOW: Final = 120
"""Seconds for what takes a few on a processor that is not emulated."""
DEVICES: Final = {
    "vif": 'vif = [ "script=fileproxy" ]\n',
    "vbd": 'disk = [ "vdev=xvdz,access=r,backendtype=phy,script=fileproxy,target=none" ]\n',
}
"""What libxl calls a script for, by the device's class; the guest has no use for either."""


@pytest.fixture
def nobody(service: Service) -> Iterator[None]:
    """No supervisor runs, until the script starts one."""
    service.close()
    yield
    if serves():
        command("stop")
    service.start()


@pytest.fixture
def device(guest: Guest, export: Path) -> Iterator[str]:
    """A share of a running guest that was written while nobody serves; as the kernel calls it."""
    given = ("--path", str(export), "--tag", "share", "--wait", "0")
    name = command("attach", str(guest.domid), *given).strip()
    yield f"backend/xen_9pfs/{name}"
    guest.run("umount /mnt/share")
    command("detach", str(guest.domid), "--devid", name.partition("/")[2], "--force")


def supervisor() -> int:
    """The process that serves."""
    return int(json.loads(command("status", "--json"))["pid"])


def hotplug(action: str, device: str) -> None:
    """Call the script by hand; it must succeed."""
    environment = {**os.environ, "XENBUS_PATH": device, "FILEPROXY_PATIENCE": str(SLOW)}
    done = subprocess.run(
        [SCRIPT, action], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def result(store: Store, device: str) -> bytes | None:
    """What the script has come to."""
    return value_of(store, f"/local/domain/0/{device}/hotplug-status")


def test_xl_waits_for_the_script_of_a_device(nobody: None, store: Store, export: Path) -> None:
    with Guest(more="".join(DEVICES.values())) as guest:
        first = supervisor()
        for kind in DEVICES:
            (devid,) = store.list(f"/local/domain/0/backend/{kind}/{guest.domid}")
            device = f"backend/{kind}/{guest.domid}/{devid}"
            assert result(store, device) == b"connected"
            for action in ("online", "offline", "online", "add", "remove"):
                hotplug(action, device)
            assert result(store, device) == b"connected"
        assert supervisor() == first
        attach(guest.domid, export)
        guest.check(f"{mount()}; echo hello > /mnt/share/file")
        assert (export / "file").read_text() == "hello\n"
    # libxl calls it here too, and takes the devices away whatever comes of that.
    for kind in DEVICES:
        assert names_below(store, f"/local/domain/0/backend/{kind}/{guest.domid}") == []


def test_a_device_that_nobody_serves_is_served_when_the_script_is_called(
    nobody: None, store: Store, guest: Guest, device: str
) -> None:
    hotplug("add", device)
    assert result(store, device) == b"connected"
    first = supervisor()
    hotplug("online", device)
    assert supervisor() == first
    until(lambda: value_of(store, f"/local/domain/0/{device}/state") == b"4", SLOW, "no driver")
    guest.check(f"{mount()}; echo hello > /mnt/share/file")


@udev
def test_udev_calls_the_script_for_a_device_that_nobody_serves(
    nobody: None, store: Store, guest: Guest, device: str
) -> None:
    until(lambda: result(store, device), SLOW, "the rule does not fire")
    assert result(store, device) == b"connected"
    assert systemctl("is-active", UNIT) == "active"
    until(lambda: value_of(store, f"/local/domain/0/{device}/state") == b"4", SLOW, "no driver")
    guest.check(f"{mount()}; echo hello > /mnt/share/file")


@pytest.fixture
def masked(nobody: None) -> Iterator[None]:
    """An administrator wants nobody to serve."""
    systemctl("mask", "--runtime", UNIT)
    yield
    systemctl("unmask", "--runtime", UNIT)


@udev
def test_a_unit_that_may_not_start_is_the_device_s_error(
    masked: None, store: Store, device: str
) -> None:
    until(lambda: result(store, device), SLOW, "the rule does not fire")
    assert result(store, device) == b"error"
    why = value_of(store, f"/local/domain/0/{device}/hotplug-error")
    assert why is not None
    assert why.decode().startswith(f"{UNIT} does not start")
    assert not serves()


@udev
def test_xl_starts_no_guest_whose_device_s_script_fails(masked: None) -> None:
    with pytest.raises(AssertionError, match=f"{UNIT} does not start"):
        Guest(more=DEVICES["vif"])
