"""``xl`` makes, saves and restores guests whose QEMU runs in a stub domain, by the proxy alone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.end_to_end.lives import kill_worker
from tests.lab.deaths import Dying, recovering
from tests.lab.saved_images import device_model_state
from tests.lab.service import command, serves, until
from tests.lab.stub_domains import SLOW, StubbedGuest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.service import Service

pytestmark = [pytest.mark.lab, pytest.mark.stubdom, pytest.mark.timeout(1800)]

QEMU: Final = "/usr/libexec/xen-qemu-system-i386"
XEN: Final = Path("/var/lib/xen")
"""Where libxl has the states while it saves and restores."""
TICKS: Final = 19
"""How far a guest counts in a second, at most."""


@pytest.fixture(scope="module", autouse=True)
def hook(service: Service) -> Iterator[None]:
    """libxl reaches QEMU's monitor through us."""
    said = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    if int(said.split()[3].partition(".")[0]) >= 10:
        pytest.skip("Dom0's QEMU 10 serves no console 2, for which a stub domain waits: stubdom.md")
    command("install-hook")
    yield
    command("remove-hook", "--force")
    if not serves():
        service.start()


@pytest.fixture(scope="module")
def stubbed(hook: None) -> Iterator[StubbedGuest]:
    """A guest with its stub domain, which every test leaves running."""
    with StubbedGuest() as guest:
        yield guest


class Saved(NamedTuple):
    """What ``xl save`` has made of a guest."""

    image: Path
    state: bytes
    """QEMU's."""
    counted: int
    """How far the guest had counted shortly before."""


def save(guest: StubbedGuest, image: Path, *, going_on: bool = False) -> Saved:
    """Save a guest that counts: QEMU's state is in the image, as it was in Dom0's file."""
    until(lambda: guest.counts, SLOW, "the guest does not count")
    counted, domid = guest.counted, guest.domid
    guest.save(image, going_on=going_on)
    assert guest.alive is going_on
    saved = Saved(image, device_model_state(image), counted)
    assert saved.state.startswith(b"QEVM")
    # libxl removes the file when the domain goes; of ours there is nothing beside it.
    name = f"qemu-save.{domid}"
    there = {path.name: path.read_bytes() for path in XEN.glob(f"{name}*")}
    assert there == ({name: saved.state} if going_on else {})
    return saved


def restore(guest: StubbedGuest, saved: Saved) -> None:
    """QEMU loads what it had saved, byte for byte, and runs the guest, which counts on."""
    guest.restore(saved.image)
    assert guest.restored_from == hashlib.sha256(saved.state).hexdigest()
    assert guest.status == "running"
    assert saved.counted <= guest.counted < saved.counted + SLOW * TICKS
    until(lambda: guest.counts, SLOW, "the guest does not count on")


def emulators() -> list[list[str]]:
    """The command lines of all QEMUs that run in Dom0."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "qemu" in os.path.basename(words[0]):
            found.append(words)
    return found


def test_qmp_from_dom0_reaches_the_stub_domain_s_qemu(stubbed: StubbedGuest) -> None:
    for whom in (stubbed.name, str(stubbed.domid), f"/run/xen/qmp-libxl-{stubbed.domid}"):
        answer = command("qmp", "--timeout", str(SLOW), whom, "query-status")
        assert json.loads(answer)["status"] == "running"
    # What libxl starts in Dom0 serves the stub domain's consoles, and emulates nothing.
    served = {words[words.index("-xen-domid") + 1] for words in emulators()}
    assert served == {str(stubbed.stub_domain)}


def test_saved_twice_and_restored_from_either(stubbed: StubbedGuest, tmp_path: Path) -> None:
    first = save(stubbed, tmp_path / "first", going_on=True)
    assert stubbed.status == "running"
    second = save(stubbed, tmp_path / "second")
    assert second.counted > first.counted
    restore(stubbed, second)
    stubbed.destroy()
    restore(stubbed, first)


@pytest.mark.long
def test_ten_times_in_a_row(stubbed: StubbedGuest, tmp_path: Path) -> None:
    for _ in range(10):
        saved = save(stubbed, tmp_path / "image")
        restore(stubbed, saved)
        stubbed.destroy()
        restore(stubbed, saved)


@pytest.mark.long
def test_two_at_once(stubbed: StubbedGuest, tmp_path: Path) -> None:
    images = [tmp_path / "one", tmp_path / "two"]
    with ThreadPoolExecutor(2) as pool, StubbedGuest() as other:
        saved = list(pool.map(save, (stubbed, other), images))
        list(pool.map(restore, (stubbed, other), saved))
        assert saved[0].state != saved[1].state


@pytest.mark.long
def test_the_worker_killed_between_save_and_restore(
    service: Service, stubbed: StubbedGuest, tmp_path: Path
) -> None:
    saved = save(stubbed, tmp_path / "image", going_on=True)
    (worker,) = service.workers()
    os.kill(worker, signal.SIGKILL)
    until(lambda: worker not in service.workers(), SLOW, "the worker does not end")
    stubbed.destroy()
    restore(stubbed, saved)


@pytest.fixture(scope="module")
def recovered(service: Service, hook: None) -> Iterator[StubbedGuest]:
    """A guest whose stub domain's workers may die, and which every test leaves running."""
    with recovering(service), StubbedGuest() as guest:
        yield guest


def keeper_of(service: Service, guest: StubbedGuest) -> int:
    """The process that has the stub domain's device."""
    (device,) = (each for each in service.devices() if each["domid"] == guest.stub_domain)
    assert device["state"] == "connected"
    assert device["process"] != device["pid"]
    return int(device["pid"])


def test_one_client_s_monitor_while_workers_die_and_are_replaced(
    service: Service, recovered: StubbedGuest
) -> None:
    with recovered.monitor() as monitor:
        for _ in range(3):
            keeper = keeper_of(service, recovered)
            until(partial(kill_worker, keeper), SLOW, "no worker")
            assert monitor.execute("query-status", {})["status"] == "running"
            command("upgrade", "--again", f"d{recovered.stub_domain}")
            assert keeper_of(service, recovered) != keeper
            assert monitor.execute("query-status", {})["status"] == "running"


def test_saved_and_restored_while_workers_and_supervisors_die(
    service: Service, recovered: StubbedGuest, tmp_path: Path
) -> None:
    keeper = keeper_of(service, recovered)
    with Dying(service, keeper) as dying:
        saved = save(recovered, tmp_path / "image", going_on=True)
        assert recovered.status == "running"
    assert dying.deaths
    assert keeper_of(service, recovered) == keeper
    recovered.destroy()
    restore(recovered, saved)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """libxl's folder is on a disk with less room than a state takes."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(XEN)], check=True)
    yield XEN
    subprocess.run(["umount", "--lazy", str(XEN)], check=True)


@pytest.mark.long
def test_a_full_disk_fails_the_save_and_the_guest_goes_on(small_disk: Path, tmp_path: Path) -> None:
    filler = small_disk / "filler"
    with StubbedGuest() as guest:  # its worker sees the disk that is there when it starts
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(1024)):
                pass
        # QEMU's words, whatever kept it from writing.
        with pytest.raises(AssertionError, match="An IO error has occurred"):
            guest.save(tmp_path / "image")
        assert guest.status == "running"
        until(lambda: guest.counts, SLOW, "the guest does not go on")
        filler.unlink()
        restore(guest, save(guest, tmp_path / "image"))
