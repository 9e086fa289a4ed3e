"""What the log and the status say of the sandbox."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from backend import toolstack
from backend.confinement.walls import HOLDS, WALLS
from backend.platform import open_platform
from backend.share import Share
from backend.supervisor.workers import _how
from protocol.xenpv.ids import DOM0, Devid, Domid
from tests.backend.supervisor.guest import Guest
from tests.backend.supervisor.program import Supervisor, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor

OFF = "warning: sandbox: it is off: "


def attach(platform: str, export: Path, devid: int) -> None:
    store = open_platform(platform).store()
    toolstack.attach(store, DOM0, Domid(5), Share(str(export)), f"files{devid}", devid=Devid(devid))
    store.close()


def test_walls_of_a_worker_are_shown(
    hypervisor: EmbeddedHypervisor, supervisor: Supervisor, platform: str, export: Path
) -> None:
    hypervisor.create_domain(5)
    attach(platform, export, 0)
    with Guest(platform, 5) as guest:
        guest.connect()
        device = supervisor.device(5)
        assert device is not None
        assert set(device["walls"]) == set(WALLS)
        told = [line for line in supervisor.lines if "sandbox: " in line]
        if os.geteuid() == 0 and set(device["walls"].values()) == {HOLDS}:
            assert not told
        # The process is what it says: no new privileges, a filter.
        with open(f"/proc/{device['pid']}/status", encoding="ascii") as file:
            status = dict(
                line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line
            )
        assert status["NoNewPrivs"] == "1"
        if device["walls"]["seccomp"] == HOLDS:
            assert status["Seccomp"] == "2"
        guest.disconnect()


def test_without_a_sandbox_it_is_loud(
    hypervisor: EmbeddedHypervisor, platform: str, place: Path, export: Path
) -> None:
    hypervisor.create_domain(5)
    with Supervisor(platform, place / "run", "--no-sandbox") as supervisor:
        assert [line for line in supervisor.lines if line.startswith(OFF)]
        for devid in range(2):
            attach(platform, export, devid)
        with Guest(platform, 5) as one, Guest(platform, 5, 1) as two:
            for guest in (one, two):
                guest.connect()
            assert [supervisor.device(5, devid)["walls"] for devid in range(2)] == [{}, {}]  # type: ignore[index]
            for guest in (one, two):
                guest.disconnect()
        assert supervisor.stop() == 0
        # Once, however many workers there are.
        assert len([line for line in supervisor.lines if line.startswith(OFF)]) == 1
    wait_until(lambda: not hypervisor.leaks(), "leaks", hypervisor.leaks)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-signal.SIGSYS, "it made a system call that the sandbox forbids"),
        (-signal.SIGKILL, "signal 9"),
        (3, "exit status 3"),
        (None, "nobody knows how"),
    ],
)
def test_how_a_worker_died(code: int | None, words: str) -> None:
    assert _how(code).startswith(words)
