"""Programs at work in a guest whose own root is a share: read-only, beside the one it works in.

What is run is what ``make interop`` runs in a guest over TCP (``tools/linux_guest``).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.lab.deaths import Dying, recovering
from tests.lab.guests import Guest, Root
from tests.lab.service import attach, command, mount
from tools.linux_guest.guest import manifest
from tools.linux_guest.mounts import CACHES, DIALECTS
from tools.linux_guest.workloads import chosen, kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.service import Service

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(3600)]

DISK: Final = Path("/dev/vda")
GUEST: Final = Root("mounting.cpio", 512)
SLOW: Final = 5
"""Emulated processors: so many times the seconds that a workload may take elsewhere."""

WORKLOADS: Final = {
    workload.name: workload
    for workload in chosen(["fio", "git", "compile", "tree", "remount", "unlinked"])
}


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A Debian root in a directory of Dom0, with the workloads in ``/guest``."""
    path = Path("/run/workloads")
    path.mkdir()
    with DISK.open("rb") as disk:
        subprocess.run(["busybox", "cpio", "-i", "-d"], stdin=disk, cwd=path, check=True)
    source = Path(manifest.__file__).parent
    shutil.copytree(source, path / "guest", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mnt/share", "proc", "dev", "tmp", "run"):
        (path / name).mkdir(parents=True, exist_ok=True)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def worker(service: Service, root: Path) -> Iterator[Guest]:
    """A guest whose programs come over one share while they work on another."""
    with Guest(GUEST) as guest:
        attach(guest.domid, root, "--read-only", tag="root")
        guest.check(mount(options="cache=loose,ro", tag="root", where="/mnt/root"))
        guest.check("mount -t proc none /mnt/root/proc && mount -t devtmpfs none /mnt/root/dev")
        guest.check("for where in tmp run; do mount -t tmpfs none /mnt/root/$where; done")
        yield guest


def differences(guest: Guest, export: Path, dialect: str, cache: str) -> list[str]:
    """What the guest sees that Dom0 does not, or the other way round."""
    # A caching client keeps its own idea of times and links; .u has seconds and no link count.
    times = "no" if cache != "none" else "ns" if dialect == "9p2000.L" else "s"
    links = dialect == "9p2000.L" and cache == "none"
    listing = f"python3 /guest/manifest.py --times {times} {'' if links else '--no-links'}"
    seen = guest.check(f"sync; chroot /mnt/root {listing} /mnt/share", 600).splitlines()
    there = manifest.lines(os.fsencode(export), times=times, links=links)
    return sorted(set(seen).symmetric_difference(there))


@pytest.fixture
def share(worker: Guest, export: Path) -> Iterator[Path]:
    """A share to work in; taken back after a failure too, or the next test would fail with it."""
    attach(worker.domid, export)
    yield export
    worker.run("umount /mnt/root/mnt/share")
    command("detach", worker.name, "--tag", "share", "--force")


def work(worker: Guest, share: Path, name: str, dialect: str, cache: str) -> None:
    """Run the workload; the guest and Dom0 see the same afterwards."""
    workload, options = WORKLOADS[name], f"cache={cache}"
    worker.check(mount(dialect, options, where="/mnt/root/mnt/share"))
    # Emulated clocks drift apart by seconds, and make(1) compares Dom0's times with the guest's.
    worker.check(f"chroot /mnt/root /usr/bin/date --set=@{time.time()} >/dev/null")
    variables = {
        "DIALECT": dialect,
        "MOUNTPOINT": "/mnt/share",
        "MOUNT": mount(dialect, options),
        **kept(share),
        "PYTHONPATH": "/guest",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    exports = "".join(f"export {name}='{value}'\n" for name, value in variables.items())
    inside = f"cd /mnt/share && exec {workload.command}"
    worker.check(f"{exports}chroot /mnt/root sh -c '{inside}'", SLOW * workload.seconds)
    assert differences(worker, share, dialect, cache) == []
    worker.check("umount /mnt/root/mnt/share")


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", WORKLOADS)
def test_workload(worker: Guest, share: Path, name: str, dialect: str, cache: str) -> None:
    work(worker, share, name, dialect, cache)


@pytest.fixture
def recovery(service: Service) -> Iterator[None]:
    with recovering(service):
        yield


@pytest.mark.usefixtures("recovery")  # before the share is attached
@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("name", ["fio", "git", "tree"])
def test_workload_while_workers_die(
    service: Service, worker: Guest, share: Path, name: str, cache: str
) -> None:
    (device,) = (each for each in service.devices() if each["tag"] == "share")
    with Dying(service, device["pid"]) as dying:
        work(worker, share, name, "9p2000.L", cache)
    assert dying.deaths
