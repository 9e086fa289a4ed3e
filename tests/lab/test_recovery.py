"""A device's workers die every two seconds, or are replaced, and its guest notices nothing."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

import pytest

from tests.lab.deaths import Dying, recovering
from tests.lab.service import LOG, attach, command, mount, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.guests import Guest
    from tests.lab.service import Service

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

FORMS: Final = [
    (dialect, cache) for dialect in ("9p2000.L", "9p2000.u") for cache in ("none", "loose")
]
"""How a guest mounts."""
UPGRADES: Final = 3
FILES: Final = 8
WORK: Final = f"""
set -e
cd /mnt/share
same() {{ dd if=$1 bs=64k 2>/dev/null | cmp - /tmp/sent; }}
dd if=/dev/urandom of=/tmp/sent bs=32k count=8 2>/dev/null
pass=0
while [ $pass -lt 2 ] || [ ! -e enough ]; do
    tree=tree$((pass % 2))
    rm -rf $tree copy
    mkdir $tree
    dd if=/tmp/sent of=$tree/data bs=32k 2>/dev/null
    same $tree/data
    for number in $(seq {FILES}); do
        mkdir $tree/$number
        echo $number >> $tree/log
        ln -s ../data $tree/$number/symlink
        ln $tree/data $tree/link
        mv $tree/link $tree/link$number
    done
    [ "$(seq {FILES})" = "$(cat $tree/log)" ]
    cp -a $tree copy
    for number in $(seq {FILES}); do
        same copy/link$number
        same copy/$number/symlink
    done
    rm -r copy
    pass=$((pass + 1))
done
sync
echo $pass
"""
"""Whatever happens twice, or not at all, or fails, ends it: ``mkdir`` and ``ln`` want a name that
is free, ``rm`` and ``mv`` one that is not, and the log a line of each."""


def done_once(export: Path) -> None:
    """What ``WORK`` has left is there, and as often as it shall be."""
    for tree in (export / f"tree{number}" for number in range(2)):
        assert (tree / "data").stat().st_nlink == 1 + FILES
        assert len(list(tree.iterdir())) == 2 + 2 * FILES
        assert {os.readlink(path) for path in tree.glob("*/symlink")} == {"../data"}
    assert not (export / "copy").exists()


@pytest.fixture(scope="module", autouse=True)
def recovery(service: Service) -> Iterator[None]:
    with recovering(service):
        yield


@pytest.mark.parametrize(
    ("mounted", "deaths"),
    [
        (FORMS[0], 6),
        *(pytest.param(form, 20, marks=pytest.mark.long) for form in FORMS),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else str(value),
)
def test_workers_and_supervisors_die_while_a_guest_works(
    service: Service, guest: Guest, export: Path, mounted: tuple[str, str], deaths: int
) -> None:
    dialect, cache = mounted
    device = attach(guest.domid, export)
    guest.check(mount(dialect, f"cache={cache}"))
    (before,) = service.devices()
    replaced = LOG.read_text().count("another one goes on")
    with Dying(service, before["pid"]) as dying:
        job = guest.begin(WORK, 900)
        until(lambda: dying.deaths >= deaths, 600, "workers do not come back")
        (export / "enough").touch()
        done = guest.finish(job, 900)
    assert done.status == 0, done.output
    assert LOG.read_text().count("another one goes on") - replaced >= deaths
    (after,) = service.devices()
    assert (after["pid"], after["state"]) == (before["pid"], "connected")
    done_once(export)
    guest.check("umount /mnt/share")
    command("detach", str(guest.domid), "--devid", device)


def test_workers_of_new_code_take_over_while_a_guest_works(
    service: Service, guest: Guest, export: Path
) -> None:
    device = attach(guest.domid, export)
    guest.check(mount())
    (before,) = service.devices()
    job = guest.begin(WORK, 900)
    until((export / "tree0" / "data").exists, 120, "no work")
    for _ in range(UPGRADES):
        said = command("upgrade", "--again", "--json", f"d{guest.domid}/{device}")
        (result,) = json.loads(said)["devices"]
        assert result["result"] == "upgraded", said
    (after,) = service.devices()
    assert after["pid"] != before["pid"]
    assert after["state"] == "connected"
    (export / "enough").touch()
    done = guest.finish(job, 900)
    assert done.status == 0, done.output
    done_once(export)
    guest.check("umount /mnt/share")
    command("detach", str(guest.domid), "--devid", device)
