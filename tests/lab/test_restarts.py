"""Supervisors come and go while a guest works: it notices nothing."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.lab.guests import Guest, xl
from tests.lab.service import LOG, attach, command, mount, until
from tests.lab.store_proxy import StoreProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.service import Service

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

XENSTORED: Final = Path("/run/xenstored/socket")
XENSTORED_PID: Final = Path("/run/xenstore.pid")
WRITE: Final = """
set -e
dd if=/dev/urandom of=/tmp/sent bs=1M count=2 2>/dev/null
pass=0
while [ $pass -lt 2 ] || [ ! -e /mnt/share/enough ]; do
    dd if=/tmp/sent of=/mnt/share/$((pass % 2)) bs=32k 2>/dev/null
    dd if=/mnt/share/$((pass % 2)) bs=32k 2>/dev/null | cmp - /tmp/sent
    pass=$((pass + 1))
    sleep 1  # an emulated processor has other work as well
done
sha256sum /tmp/sent | cut -d' ' -f1
"""


@contextmanager
def writing(guest: Guest, export: Path) -> Iterator[None]:
    """All that is done meanwhile is done while the guest writes and reads back."""
    job = guest.begin(WRITE, 600)
    until((export / "1").exists, 120, "no write")
    yield
    (export / "enough").touch()
    done = guest.finish(job, 600)
    assert done.status == 0, done.output
    written = [hashlib.sha256((export / name).read_bytes()).hexdigest() for name in "01"]
    assert written == [done.output.strip()] * 2


def works(guest: Guest, export: Path) -> None:
    """A device that is attached now, in the same guest."""
    export.mkdir()
    device = command("attach", str(guest.domid), "--path", str(export), "--tag", "later").strip()
    guest.check(
        f"{mount('9p2000.L', 'cache=none').replace('share', 'later')}\n"
        "echo hello > /mnt/later/file; umount /mnt/later"
    )
    assert (export / "file").read_text() == "hello\n"
    command("detach", str(guest.domid), "--devid", device.partition("/")[2])


def test_the_supervisor_is_restarted_in_the_middle_of_a_write(
    service: Service, guest: Guest, export: Path, tmp_path: Path
) -> None:
    device = attach(guest.domid, export)
    guest.check(mount("9p2000.L", "cache=none"))
    (before,) = service.devices()
    with writing(guest, export):
        for number in (signal.SIGTERM, signal.SIGKILL):
            service.restart(number)
            (after,) = service.devices()
            assert (after["pid"], after["state"]) == (before["pid"], "connected")
            assert after["adopted"] is not None
    works(guest, tmp_path / "later")
    guest.check("umount /mnt/share")
    command("detach", str(guest.domid), "--devid", device)
    assert service.devices() == []


def test_a_guest_that_is_destroyed_without_a_supervisor_is_cleaned_up_by_the_next(
    service: Service, export: Path
) -> None:
    with Guest() as guest:
        attach(guest.domid, export)
        guest.check(mount("9p2000.L", "cache=none"))
        service.leave()
        xl("destroy", str(guest.domid))
        service.start()
        until(lambda: service.devices() == [], 60, "the device is still known")
        until(lambda: not guest.alive, 60, "the domain is still there")


def test_xenstore_is_lost_and_comes_back(service: Service, export: Path, tmp_path: Path) -> None:
    """Its line is cut, not the daemon ended: that would take all domains' nodes with it."""
    socket = tmp_path / "xenstored"
    with StoreProxy(socket, XENSTORED) as line, Guest() as guest, Guest() as dead:
        service.leave()
        service.start({"XENSTORED_PATH": str(socket)})
        attach(guest.domid, export)
        (tmp_path / "other").mkdir()
        attach(dead.domid, tmp_path / "other")
        for each in (guest, dead):
            each.check(mount("9p2000.L", "cache=none"))
        lost = LOG.read_text().count("XenStore is lost")
        with writing(guest, export):
            line.cut()
            until(lambda: LOG.read_text().count("XenStore is lost") > lost, 60, "nothing is lost")
            xl("destroy", str(dead.domid))
            line.mend()
            until(lambda: len(service.devices()) == 1, 120, "the dead guest's device is left")
        works(guest, tmp_path / "later")
        service.restart(signal.SIGTERM)
        (device,) = service.devices()
        assert device["state"] == "connected"


def test_xenstored_is_replaced_by_its_own_live_update(
    service: Service, guest: Guest, export: Path, tmp_path: Path
) -> None:
    """It executes itself anew and keeps nodes and connections: nobody has to do anything."""
    daemon = f"/proc/{XENSTORED_PID.read_text().strip()}"
    device = attach(guest.domid, export)
    guest.check(mount("9p2000.L", "cache=none"))
    with writing(guest, export):
        update = ["xenstore-control", "live-update", os.readlink(f"{daemon}/exe")]
        done = subprocess.run(update, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        # The daemon that has come of it was given its predecessor's state, in C or in OCaml.
        assert {"-U", "--live"} & {*Path(daemon, "cmdline").read_text().split("\0")}
        (after,) = service.devices()
        assert after["state"] == "connected"
    works(guest, tmp_path / "later")
    guest.check("umount /mnt/share")
    command("detach", str(guest.domid), "--devid", device)
