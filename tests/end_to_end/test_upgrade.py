"""Workers are replaced by newer code under a guest's work, and the guest notices nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from backend.journal.layout import VERSION
from backend.version import version
from frontend_stub.connect import connect_device
from frontend_stub.share import Share
from protocol.xenpv.ids import Domid
from tests.end_to_end.dom0 import dom0
from tests.end_to_end.lives import kill_worker
from tests.end_to_end.newer import newer
from tests.end_to_end.test_channels import receive
from tests.end_to_end.writers import write_at_once
from tools.testbed import Testbed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GUEST, OTHER = Domid(5), Domid(6)
OURS = version()
LATER = "9.9.9"
MARKED = ("backend/worker/loop.py", '"errors": counters.errors', '"errors": 777')
"""What a worker of the later code reports, and no other."""


@pytest.fixture
def bed(recovering: Testbed) -> Testbed:
    return recovering


def upgrade(bed: Testbed, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit status, and what came of each device."""
    done = bed.run("upgrade", "--json", *arguments)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["devices"]


def install(bed: Testbed, tree: Path) -> None:
    """As a package's upgrade does it: other files, and a new supervisor."""
    bed.tree = tree
    bed.restart_supervisor(signal.SIGTERM)


def test_a_later_version_takes_a_device_over(bed: Testbed, tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    bed.guest(GUEST, export)
    with Share.attach(connect_device(bed.platform, GUEST)) as share:
        file = share.open("gone", os.O_RDWR | os.O_CREAT)
        file.pwrite(b"still here", 0)
        share.remove("gone")
        install(bed, newer(tmp_path / "later", LATER, MARKED))
        before = bed.device(GUEST)
        assert (before["version"], before["recovers"]) == (OURS, True)
        assert before["errors"] != 777
        said = bed.run("status").stdout
        assert f"version {OURS} was started by an earlier supervisor; " in said
        status, (result,) = upgrade(bed)
        assert (status, result["result"]) == (0, "upgraded")
        assert (result["from"], result["to"]) == (OURS, LATER)
        after = bed.device(GUEST)
        assert (after["version"], after["errors"], after["state"]) == (LATER, 777, "connected")
        assert after["pid"] != before["pid"]
        assert set(after["walls"].values()) == set(before["walls"].values())
        back = bytearray(10)
        assert file.read_into(back, 0) == 10
        assert back == b"still here"
        file.close()
        assert upgrade(bed)[1][0]["result"] == "current"
        # What was taken over can be handed over, and adopted, as anything else.
        bed.restart_supervisor(signal.SIGKILL)
        assert upgrade(bed, "--again")[1][0]["result"] == "upgraded"
        assert kill_worker(bed.device(GUEST)["pid"])
        share.mkdir("last")
    assert [path.name for path in export.iterdir()] == ["last"]


def test_what_took_over_ends_with_its_frontend_and_by_itself(bed: Testbed, tmp_path: Path) -> None:
    for guest in (GUEST, OTHER):
        bed.guest(guest, tmp_path)
        with Share.attach(connect_device(bed.platform, guest)):
            assert upgrade(bed, "--again", f"d{guest}")[1][0]["result"] == "upgraded"
            if guest == OTHER:
                os.kill(bed.device(guest)["pid"], signal.SIGKILL)
                bed.await_status(
                    lambda status: "worker died" in (status["devices"][1]["error"] or "")
                )
    bed.await_status(lambda status: not any("pid" in device for device in status["devices"]))


def test_channels_go_with_their_device_and_end_with_it(bed: Testbed, tmp_path: Path) -> None:
    bed.attach(GUEST, "--path", str(tmp_path), "--channel", "qmp")
    path = bed.dir / "run" / str(GUEST) / "qmp"
    with Share.attach(connect_device(bed.platform, GUEST)) as share:
        before = path.stat().st_ino
        install(bed, newer(tmp_path / "later", LATER, MARKED))
        with dom0(path) as client, dom0(path) as waits:
            waits.sendall(b"hello")
            with share.open("qmp", os.O_RDWR) as channel:
                assert upgrade(bed)[1][0]["result"] == "upgraded"
                client.sendall(b"still here")
                assert receive(channel) == b"still here"
                channel.pwrite(b"so am I", 0)
                assert client.recv(100) == b"so am I"
                assert kill_worker(bed.device(GUEST)["pid"])
                assert upgrade(bed, "--again")[1][0]["result"] == "upgraded"
            with share.open("qmp", os.O_RDWR) as channel:
                assert receive(channel) == b"hello"
        assert path.stat().st_ino == before
    bed.await_status(lambda status: not any("pid" in device for device in status["devices"]))
    assert not path.parent.exists()


def test_the_old_worker_may_end_long_before_the_new_one_says_that_it_serves(
    bed: Testbed, tmp_path: Path
) -> None:
    export = tmp_path / "export"
    export.mkdir()
    bed.guest(GUEST, export)
    with Share.attach(connect_device(bed.platform, GUEST)) as share:
        line = "        device.supervision.send(Serving())\n"
        late = (
            "        while self._taking._end.recv(16): pass\n"
            "        import time; time.sleep(1)  # so that the supervisor has seen that end\n"
        )
        change = ("backend/worker/successor.py", line, late + line)
        install(bed, newer(tmp_path / "later", LATER, change))
        assert upgrade(bed)[1][0]["result"] == "upgraded"
        share.mkdir("made")
        device = bed.device(GUEST)
        assert (device["state"], device["error"]) == ("connected", None)


def test_a_journal_that_is_not_known_stays_with_its_worker(bed: Testbed, tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    bed.guest(GUEST, export)
    with Share.attach(connect_device(bed.platform, GUEST)) as share:
        line = "VERSION: Final = {}\n"
        change = ("backend/journal/layout.py", line.format(VERSION), line.format(99))
        install(bed, newer(tmp_path / "later", LATER, change))
        before = bed.device(GUEST)["pid"]
        for _ in range(3):
            done = bed.run("upgrade")
            assert done.returncode == 1
            why = f"NOT upgraded: its journal has version {VERSION}, and version 99 is known here"
            assert why in done.stdout
            share.mkdir(f"d{len(list(export.iterdir()))}")
        after = bed.device(GUEST)
        assert (after["pid"], after["version"], after["state"]) == (before, OURS, "connected")
    assert len(list(export.iterdir())) == 3


def test_a_supervisor_of_another_version_is_to_be_restarted_first(
    bed: Testbed, tmp_path: Path
) -> None:
    bed.tree = newer(tmp_path / "later", LATER)
    done = bed.run("upgrade")
    assert done.returncode == 1
    assert f"the supervisor runs version {OURS}, and this program is {LATER}" in done.stderr


def test_a_device_without_recovery_is_told_what_to_do(leak_free: None, tmp_path: Path) -> None:
    del leak_free
    with Testbed() as bed:
        bed.guest(GUEST, tmp_path)
        with Share.attach(connect_device(bed.platform, GUEST)) as share:
            status, (result,) = upgrade(bed, "--again")
            assert (status, result["result"]) == (1, "kept")
            assert "without recovery" in result["reason"]
            assert "detach and attach" in result["remedy"]
            share.mkdir("d")


def test_devices_are_named_by_domain_and_number(bed: Testbed, tmp_path: Path) -> None:
    shares = []
    for domid in (GUEST, OTHER):
        bed.guest(domid, tmp_path)
        shares.append(Share.attach(connect_device(bed.platform, domid)))
    for names, devices in (
        (("5",), ["d5/0"]),
        (("d6/0", "5/0"), ["d5/0", "d6/0"]),
        (("embedded-6",), ["d6/0"]),
        ((), ["d5/0", "d6/0"]),
    ):
        status, results = upgrade(bed, "--again", *names)
        assert status == 0
        assert [result["device"] for result in results] == devices
    done = bed.run("upgrade", "7")
    assert done.returncode == 1
    assert "7: no such device; those that there are: d5/0, d6/0" in done.stderr
    for share in shares:
        share.close()


def beside(bed: Testbed, export: Path, disturb: Callable[[], None], times: int) -> float:
    """Eight writers, and something that is done ``times`` meanwhile; their longest wait."""
    bed.guest(GUEST, export)
    wire = connect_device(bed.platform, GUEST)
    enough = Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            write_at_once, wire, export, lambda: not enough.is_set(), attributes=False
        )
        try:
            for _ in range(times):
                disturb()
                assert not running.done()
        finally:
            enough.set()
        longest = running.result()
    device = bed.device(GUEST)
    assert (device["state"], device["fids"], device["open_files"]) == ("connected", 1, 0)
    wire.close()
    return longest


def test_writers_go_on_while_their_worker_is_upgraded(bed: Testbed, tmp_path: Path) -> None:
    pauses = []

    def once() -> None:
        status, (result,) = upgrade(bed, "--again")
        assert status == 0, result
        pauses.append(result["pause"])

    longest = beside(bed, tmp_path, once, 20)
    print(f"\n20 upgrades, pauses of up to {max(pauses) * 1000:.0f} ms, ", end="")
    print(f"the longest wait {longest * 1000:.0f} ms")


def start_upgrade(bed: Testbed) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        bed.command("upgrade", "--again"),
        env=bed.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.slow
def test_workers_are_killed_while_they_are_upgraded(bed: Testbed, tmp_path: Path) -> None:
    """Each is upgraded, or serves on; which of the two depends on the moment."""
    dice = random.Random(1)
    pause = Event()

    def once() -> None:
        keeper = bed.device(GUEST)["pid"]
        with start_upgrade(bed) as process:
            pause.wait(dice.uniform(0.2, 0.6))
            kill_worker(keeper)
            process.wait(30)

    beside(bed, tmp_path, once, 20)


@pytest.mark.slow
def test_supervisors_are_killed_while_they_upgrade(bed: Testbed, tmp_path: Path) -> None:
    dice = random.Random(2)
    pause = Event()

    def once() -> None:
        with start_upgrade(bed) as process:
            pause.wait(dice.uniform(0.2, 0.6))
            bed.restart_supervisor(signal.SIGKILL)
            process.wait(30)
        assert bed.device(GUEST)["state"] == "connected"

    beside(bed, tmp_path, once, 20)
