"""Workers are killed in the middle of a guest's work, and the guest notices nothing."""

from __future__ import annotations

import os
import random
import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import pytest

from frontend_stub.connect import connect_device
from frontend_stub.share import Share
from protocol.xenpv.ids import Domid

if TYPE_CHECKING:
    from pathlib import Path

    from tools.testbed import Testbed

GUEST = Domid(5)
WRITERS = 8
ROUNDS = 20
PIECE = 4000


def work(share: Share, writer: int, progress: Event) -> bytes:
    """Append to one file, make, rename and remove others; what the one must have in the end."""
    dice, expected = random.Random(writer), b""
    share.mkdir(f"w{writer}")
    with share.open(f"w{writer}/log", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND) as log:
        for number in range(ROUNDS):
            progress.set()
            data = dice.randbytes(PIECE)
            assert log.pwrite(data, 0) == PIECE
            expected += data
            name = f"w{writer}/{number}"
            with share.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
                file.pwrite(data, 0)
            share.rename(name, f"{name}.new")
            if number % 2:
                share.remove(f"{name}.new")
    return expected


def kill(bed: Testbed) -> None:
    os.kill(bed.device(GUEST)["process"], signal.SIGKILL)


POLICIES = {
    "plain": [],
    "fsync-on-close": ["--fsync-on-close"],
    "quota": ["--max-space", "64", "--max-files", "10000"],
    "mapped-xattr": ["--security-model", "mapped-xattr"],
    "several": ["--security-model", "mapped-xattr", "--max-space", "64", "--fsync-on-close"],
}


@pytest.mark.usefixtures("user_attributes")
@pytest.mark.parametrize("options", POLICIES.values(), ids=POLICIES)
def test_writers_go_on_while_workers_are_killed(
    recovering: Testbed, tmp_path: Path, options: list[str]
) -> None:
    recovering.attach(GUEST, "--path", str(tmp_path), "--tag", "share", *options)
    share = Share.attach(connect_device(recovering.platform, GUEST))
    keeper = recovering.device(GUEST)["pid"]
    progress = Event()

    def all_work() -> list[bytes]:
        return [work(share, writer, progress) for writer in range(WRITERS)]

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(all_work)
        running.add_done_callback(lambda _: progress.set())
        # A worker that is killed over and over before it has done anything is a crash loop.
        while progress.wait() and not running.done():
            progress.clear()
            kill(recovering)
    for writer, expected in enumerate(running.result()):
        folder = tmp_path / f"w{writer}"
        assert (folder / "log").read_bytes() == expected
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            ["log", *(f"{number}.new" for number in range(0, ROUNDS, 2))]
        )
    device = recovering.device(GUEST)
    assert (device["pid"], device["state"]) == (keeper, "connected")
    share.close()


def test_a_file_without_a_name_outlives_the_worker(recovering: Testbed, tmp_path: Path) -> None:
    recovering.guest(GUEST, tmp_path)
    with Share.attach(connect_device(recovering.platform, GUEST)) as share:
        with share.open("gone", os.O_RDWR | os.O_CREAT) as file:
            file.pwrite(b"still here", 0)
            share.remove("gone")
            kill(recovering)
            back = bytearray(10)
            assert file.read_into(back, 0) == 10
        assert back == b"still here"
    assert not list(tmp_path.iterdir())


def test_the_next_supervisor_finds_a_worker_that_was_replaced(
    recovering: Testbed, tmp_path: Path
) -> None:
    recovering.guest(GUEST, tmp_path)
    with Share.attach(connect_device(recovering.platform, GUEST)) as share:
        kill(recovering)
        share.mkdir("one")
        recovering.restart_supervisor(signal.SIGKILL)
        kill(recovering)
        share.mkdir("two")
        assert recovering.device(GUEST)["answers"]


def test_the_keeper_ends_well_after_the_line_to_its_supervisor_has_changed(
    recovering: Testbed, tmp_path: Path
) -> None:
    recovering.guest(GUEST, tmp_path)
    with Share.attach(connect_device(recovering.platform, GUEST)) as share:
        recovering.supervisor.kill()
        recovering.supervisor.wait()
        while "serving on without one" not in recovering.log.read_text():
            share.stat(".")
        # It has the number that the line had, so that the next line gets another.
        with share.open("file", os.O_RDWR | os.O_CREAT):
            recovering.restart_supervisor(signal.SIGKILL)
            kill(recovering)
    recovering.await_status(lambda status: "pid" not in status["devices"][0])
    assert "Traceback" not in recovering.log.read_text()


def test_killing_the_keeper_closes_the_device(recovering: Testbed, tmp_path: Path) -> None:
    recovering.guest(GUEST, tmp_path)
    with Share.attach(connect_device(recovering.platform, GUEST)) as share:
        os.kill(recovering.device(GUEST)["pid"], signal.SIGKILL)
        recovering.await_status(lambda status: status["devices"][0]["state"] != "connected")
        with pytest.raises(OSError, match=r"."):
            share.mkdir("one")
