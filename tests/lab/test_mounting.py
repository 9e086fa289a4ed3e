"""An unmodified Linux guest mounts a share that was attached while it ran."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from tests.lab.service import attach, command, mount

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.guests import Guest
    from tests.lab.service import Service

pytestmark = pytest.mark.lab

WORK = """
cd /mnt/share
dd if=/dev/urandom of=from-guest bs=128k count=8 2>/dev/null
for file in from-dom0 from-guest; do
    dd if=$file bs=128k 2>/dev/null | sha256sum | cut -d' ' -f1
done
mkdir folder; echo hello > folder/file; mv folder/file folder/renamed
cat folder/renamed; ls folder; rm -r folder
cd /; umount /mnt/share
"""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("cache", ["none", "loose"])
@pytest.mark.parametrize("dialect", ["9p2000.L", "9p2000.u"])
def test_what_the_guest_writes_is_in_dom0_and_the_other_way_round(
    service: Service, guest: Guest, export: Path, dialect: str, cache: str
) -> None:
    (export / "from-dom0").write_bytes(os.urandom(1_000_001))
    device = attach(guest.domid, export)
    guest.check(mount(dialect, f"cache={cache}"))
    (shown,) = service.devices()
    assert (shown["dialect"].lower(), shown["msize"]) == (dialect.lower(), 524288)
    seen = guest.check(WORK).split()
    assert seen == [sha256(export / "from-dom0"), sha256(export / "from-guest"), "hello", "renamed"]
    assert sorted(os.listdir(export)) == ["from-dom0", "from-guest"]
    command("detach", str(guest.domid), "--devid", device)
    assert service.devices() == []


def test_all_walls_of_the_sandbox_hold(service: Service, guest: Guest, export: Path) -> None:
    device = attach(guest.domid, export)
    guest.check(mount("9p2000.L", "cache=none"))
    (shown,) = service.devices()
    assert set(shown["walls"].values()) == {"holds"}
    guest.check("umount /mnt/share")
    command("detach", str(guest.domid), "--devid", device)
