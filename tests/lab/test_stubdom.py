"""``xl`` makes, saves and restores guests whose QEMU runs in a stub domain, by the proxy alone."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.lab.guests import xl
from tests.lab.saved_images import device_model_state
from tests.lab.service import command, serves, until
from tests.lab.stub_domains import StubbedGuest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.service import Service

pytestmark = [pytest.mark.lab, pytest.mark.stubdom, pytest.mark.timeout(1800)]

XEN: Final = Path("/var/lib/xen")
"""Where libxl has the states while it saves and restores."""
SLOW: Final = 120.0
"""Seconds for what takes a few on a processor that is not emulated."""


@pytest.fixture(scope="module", autouse=True)
def hook(service: Service) -> Iterator[None]:
    """libxl reaches QEMU's monitor through us."""
    command("install-hook")
    yield
    command("remove-hook", "--force")
    if not serves():
        service.start()


@pytest.fixture
def stubbed() -> Iterator[StubbedGuest]:
    """A guest with its stub domain."""
    with StubbedGuest() as guest:
        yield guest


def check_saved(guest: StubbedGuest, image: Path) -> None:
    """It is in the image alone, by libxl; nothing of it is left in Dom0."""
    assert device_model_state(image)[:4] == b"QEVM"
    assert not guest.alive
    assert not list(XEN.glob(f"qemu-save.{guest.domid}*"))


def check_restored(guest: StubbedGuest, image: Path) -> None:
    """QEMU has loaded what it had saved, byte for byte, and runs its guest."""
    assert guest.restored_from == hashlib.sha256(device_model_state(image)).hexdigest()
    assert guest.status == "running"
    before = processor_seconds(guest)
    until(lambda: processor_seconds(guest) > before, SLOW, "the guest does not run")


def processor_seconds(guest: StubbedGuest) -> float:
    """What the guest's processor has run so far."""
    return float(xl("list", guest.name).splitlines()[1].split()[-1])


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
    for _ in range(3):
        assert stubbed.status == "running"
    libxl = f"/run/xen/qmp-libxl-{stubbed.domid}"
    assert json.loads(command("qmp", libxl, "query-status"))["status"] == "running"
    assert "xenfv" in json.dumps(stubbed.qmp("query-chardev")) or stubbed.qmp("query-version")
    # What libxl starts in Dom0 serves the stub domain's consoles, and emulates nothing.
    served = [words[words.index("-xen-domid") + 1] for words in emulators()]
    assert str(stubbed.domid) not in served
    assert set(served) <= {str(stubbed.stub_domain)}


def test_saved_and_restored(stubbed: StubbedGuest, tmp_path: Path) -> None:
    image = tmp_path / "image"
    stubbed.save(image)
    check_saved(stubbed, image)
    stubbed.restore(image)
    check_restored(stubbed, image)


def test_a_second_save_that_goes_on_leaves_nothing_of_the_first(
    stubbed: StubbedGuest, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    stubbed.save(first, going_on=True)
    assert stubbed.status == "running"
    stubbed.save(second)
    check_saved(stubbed, second)
    stubbed.restore(second)
    check_restored(stubbed, second)
    stubbed.destroy()
    stubbed.restore(first)
    check_restored(stubbed, first)


@pytest.mark.long
def test_ten_times_in_a_row(stubbed: StubbedGuest, tmp_path: Path) -> None:
    image = tmp_path / "image"
    for _ in range(10):
        stubbed.save(image)
        check_saved(stubbed, image)
        stubbed.restore(image)
        check_restored(stubbed, image)
        stubbed.destroy()
        stubbed.restore(image)
        check_restored(stubbed, image)


def test_two_at_once(tmp_path: Path) -> None:
    images = [tmp_path / "one", tmp_path / "two"]
    with ThreadPoolExecutor(2) as pool, StubbedGuest() as one, StubbedGuest() as two:
        guests = [one, two]
        list(pool.map(StubbedGuest.save, guests, images))
        for guest, image in zip(guests, images, strict=True):
            check_saved(guest, image)
        list(pool.map(StubbedGuest.restore, guests, images))
        for guest, image in zip(guests, images, strict=True):
            check_restored(guest, image)
        assert one.restored_from != two.restored_from


def test_the_worker_killed_between_save_and_restore(
    service: Service, stubbed: StubbedGuest, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    stubbed.save(image, going_on=True)
    (worker,) = service.workers()
    os.kill(worker, signal.SIGKILL)
    until(lambda: worker not in service.workers(), SLOW, "the worker does not end")
    stubbed.destroy()
    stubbed.restore(image)
    check_restored(stubbed, image)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """libxl's folder has less room than a state takes."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(XEN)], check=True)
    yield tmp_path / "image"
    subprocess.run(["umount", "--lazy", str(XEN)], check=True)


def test_a_full_disk_fails_the_save_and_the_guest_goes_on(
    full_disk: Path, stubbed: StubbedGuest
) -> None:
    with pytest.raises(AssertionError, match=r"(?i)no space left on device"):
        stubbed.save(full_disk)
    assert stubbed.status == "running"
    assert not list(XEN.glob(f"qemu-save.{stubbed.domid}*"))
