"""A stub domain's state share while its workers are killed: a monitor is asked, and state saved."""

from __future__ import annotations

import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import pytest

from frontend_stub.connect import connect_device
from frontend_stub.share import Share
from protocol.xenpv.ids import Domid
from tests.end_to_end.dom0 import DEADLINE, dom0
from tests.end_to_end.lives import kill_worker
from tests.end_to_end.test_channels import receive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from frontend_stub.file import File
    from tools.testbed import Testbed

GUEST = 5
CLIENTS = 4
AT_LEAST = 4
"""How often each of them is disturbed."""
LONGEST = 20_000
SECONDS = 0.1
"""At most, from one kill to the next."""


def question(dice: random.Random) -> bytes:
    return dice.randbytes(dice.randint(1, LONGEST))


def asked(path: Path, seed: int, questions: int, enough: Sequence[Event]) -> int:
    """One client after the other, each of which hears all that it says; how many did.

    Each asks so often at least, and on until it is ``enough``.
    """
    for number in range(CLIENTS):
        dice = random.Random(seed + number)
        with dom0(path) as client:
            times = 0
            while times < questions or not enough[number].is_set():
                times += 1
                said, heard = question(dice), b""
                client.sendall(said)
                while len(heard) < len(said):
                    heard += client.recv(LONGEST)
                assert heard == said
    return CLIENTS


def say(channel: File, data: bytes) -> None:
    while data:
        data = data[channel.pwrite(data, 0) :]


def save(share: Share, saved: Path, content: bytes) -> None:
    """As the relay of a stub domain has its QEMU do it."""
    saved.unlink(missing_ok=True)
    with share.open("save", os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
        for at in range(0, len(content), 4000):
            file.pwrite(content[at : at + 4000], at)
            assert not saved.exists()
    assert saved.read_bytes() == content


def answer_all(share: Share, saved: Path) -> None:
    """Say what is heard, to each client, and save now and then."""
    dice = random.Random(7)
    for _ in range(CLIENTS):
        with share.open("qmp", os.O_RDWR) as channel:
            while heard := receive(channel):
                say(channel, heard)
                if dice.random() < 0.05:
                    save(share, saved, dice.randbytes(30_000))


def kill(_: Testbed, keeper: int) -> bool:
    return kill_worker(keeper)


def upgrade(recovering: Testbed, _: int) -> bool:
    done = recovering.run("upgrade", "--again")
    assert done.returncode == 0, done.stdout + done.stderr
    return True


def kill_while_upgrading(recovering: Testbed, _: int) -> bool:
    """Whichever of the two goes on, nobody notices; which, depends on the moment."""
    keeper = recovering.device(GUEST)["pid"]
    with subprocess.Popen(
        recovering.command("upgrade", "--again"),
        env=recovering.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as upgrading:
        Event().wait(random.uniform(0, 0.4))
        kill_worker(keeper)
        upgrading.wait(DEADLINE)
    return True


def talk_and_save(
    recovering: Testbed,
    tmp_path: Path,
    questions: int,
    disturb: Callable[[Testbed, int], bool] = kill,
) -> None:
    saved, path = tmp_path / "qemu-save.4", tmp_path / "qmp"
    options = ("--writable-file", f"save={saved}", "--channel", f"qmp={path}")
    recovering.attach(GUEST, "--tag", "state", "--commit", "atomic", *options)
    over, dice, disturbed = Event(), random.Random(1), 0
    enough = [Event() for _ in range(CLIENTS)]
    with (
        Share.attach(connect_device(recovering.platform, Domid(GUEST), timeout=DEADLINE)) as share,
        ThreadPoolExecutor(2) as pool,
    ):
        keeper, listener = recovering.device(GUEST)["pid"], path.stat().st_ino
        before = len(os.listdir(f"/proc/{keeper}/fd"))
        clients, guest = (
            pool.submit(asked, path, 100, questions, enough),
            pool.submit(answer_all, share, saved),
        )
        for running in (clients, guest):
            running.add_done_callback(lambda _: over.set())
        try:
            while not over.wait(dice.uniform(0, SECONDS)):
                disturbed += disturb(recovering, keeper)
                for number in range(min(disturbed // AT_LEAST, CLIENTS)):
                    enough[number].set()
        finally:
            for each in enough:
                each.set()
        assert clients.result() == CLIENTS
        guest.result(DEADLINE)
        device = recovering.device(GUEST)
        assert (device["state"], device["fids"]) == ("connected", 1)
        assert path.stat().st_ino == listener
        left = len(os.listdir(f"/proc/{device['pid']}/fd"))
        if disturb is kill:
            assert (device["pid"], left) == (keeper, before)
        else:
            # Each process is given a few by whoever starts it.
            assert abs(left - before) < 10
    assert disturbed >= AT_LEAST * CLIENTS
    print(f"\n{disturbed} times")


@pytest.mark.slow
def test_nobody_notices(recovering: Testbed, tmp_path: Path) -> None:
    talk_and_save(recovering, tmp_path, 60)


@pytest.mark.slow
def test_nobody_notices_upgrades(recovering: Testbed, tmp_path: Path) -> None:
    talk_and_save(recovering, tmp_path, 60, upgrade)


@pytest.mark.slow
def test_nobody_notices_upgrades_and_kills_at_once(recovering: Testbed, tmp_path: Path) -> None:
    talk_and_save(recovering, tmp_path, 60, kill_while_upgrading)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nobody_notices_for_long(recovering: Testbed, tmp_path: Path) -> None:
    talk_and_save(recovering, tmp_path, 3000)
