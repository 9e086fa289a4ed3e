"""A stub domain's state share while its workers are killed: a monitor is asked, and state saved."""

from __future__ import annotations

import os
import random
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
from tools.testbed import Testbed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from frontend_stub.file import File

GUEST = 5
CLIENTS = 4
LONGEST = 20_000
SECONDS = 0.1
"""At most, from one kill to the next."""


@pytest.fixture
def recovering(leak_free: None) -> Iterator[Testbed]:
    del leak_free
    with Testbed(config="recovery = true\n") as bed:
        yield bed


def question(dice: random.Random) -> bytes:
    return dice.randbytes(dice.randint(1, LONGEST))


def asked(path: Path, seed: int, questions: int) -> int:
    """One client after the other, each of which hears all that it says; how many did."""
    for number in range(CLIENTS):
        dice = random.Random(seed + number)
        with dom0(path) as client:
            for _ in range(questions):
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


def talk_and_save(recovering: Testbed, tmp_path: Path, questions: int) -> None:
    saved, path = tmp_path / "qemu-save.4", tmp_path / "qmp"
    options = ("--writable-file", f"save={saved}", "--channel", f"qmp={path}")
    recovering.attach(GUEST, "--tag", "state", "--commit", "atomic", *options)
    over, dice, killed = Event(), random.Random(1), 0
    with (
        Share.attach(connect_device(recovering.platform, Domid(GUEST), timeout=DEADLINE)) as share,
        ThreadPoolExecutor(2) as pool,
    ):
        keeper = recovering.device(GUEST)["pid"]
        before = len(os.listdir(f"/proc/{keeper}/fd"))
        clients, guest = (
            pool.submit(asked, path, 100, questions),
            pool.submit(answer_all, share, saved),
        )
        for running in (clients, guest):
            running.add_done_callback(lambda _: over.set())
        while not over.wait(dice.uniform(0, SECONDS)):
            killed += kill_worker(keeper)
        assert clients.result() == CLIENTS
        guest.result(DEADLINE)
        device = recovering.device(GUEST)
        assert (device["state"], device["pid"], device["fids"]) == ("connected", keeper, 1)
        assert len(os.listdir(f"/proc/{keeper}/fd")) == before
    assert killed > CLIENTS
    print(f"\n{killed} kills")


@pytest.mark.slow
def test_nobody_notices(recovering: Testbed, tmp_path: Path) -> None:
    talk_and_save(recovering, tmp_path, 60)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nobody_notices_for_long(recovering: Testbed, tmp_path: Path) -> None:
    talk_and_save(recovering, tmp_path, 3000)
