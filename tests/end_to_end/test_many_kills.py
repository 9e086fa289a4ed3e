"""Workers are killed at random under a random load, and neither an answer nor a file differs.

The long one kills 1,000, or as many as ``--kills`` says.
"""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Final

import pytest

from frontend_stub.connect import connect_device
from protocol.xenpv.ids import Domid
from tests.backend.fileserver.model.dotl import DotlSide
from tests.backend.fileserver.model.model import Model
from tests.backend.fileserver.model.plain import PlainSide
from tests.backend.fileserver.model.test_model import DOTL
from tests.end_to_end.lives import kill_worker
from tests.end_to_end.wire_client import WireClient
from tests.end_to_end.writers import write_at_once
from tools.testbed import Testbed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

WRITING = 5
ASKING = (6, 7)
"""Guests whose devices show one directory: the model's."""

SECONDS = 0.15
"""At most, from one kill to the next: on average a worker has half of that to come back, unless it
is another guest's turn."""

COMPARED_EVERY = 200


def ask(clients: Sequence[WireClient], mirror: Path, seed: int, go_on: Callable[[], bool]) -> int:
    """Steps of the model, until they are not to go on; how many."""
    for client in clients:
        client.mount()
    model = Model([DotlSide(client) for client in clients], PlainSide(str(mirror)), DOTL, seed)
    try:
        while go_on():
            due = model.compared + COMPARED_EVERY
            while go_on() and model.compared < due:
                model.step()
            model.compare_trees()
        model.finish()
    finally:
        model.close()
    return model.compared


def descriptors(process: int) -> int:
    """But for those of a quota's ledger, of which a worker that serves has one more."""
    folder = f"/proc/{process}/fd"
    return sum("/quota/" not in os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder))


def kill(keepers: Sequence[int], count: int, seed: int, over: Event) -> int:
    """Kill ``count`` workers, unless it is over before that; how many were."""
    dice, killed = random.Random(seed), 0
    while killed < count and not over.is_set():
        killed += kill_worker(dice.choice(keepers))
        over.wait(dice.uniform(0, SECONDS))
    return killed


POLICIES: Final = {
    "plain": (),
    "atomic": ("--commit", "atomic"),
    "mapped": ("--security-model", "mapped-xattr", "--max-space", "64"),
    "several": ("--commit", "atomic", "--fsync-on-close", "--max-space", "64"),
}
"""Of the writers' share."""


def kill_many(place: Path, kills: int, seed: int, options: Sequence[str] = ()) -> None:
    places = {name: place / name for name in ("written", "asked", "mirror")}
    for path in places.values():
        path.mkdir()
    over = Event()
    guests = (WRITING, *ASKING)
    with Testbed(config="recovery = true\n") as bed, ThreadPoolExecutor(2) as pool:
        for domid in ASKING:
            bed.guest(domid, places["asked"])
        bed.attach(WRITING, "--path", str(places["written"]), "--tag", "share", *options)
        wires = {domid: connect_device(bed.platform, Domid(domid)) for domid in guests}
        keepers = {domid: bed.device(domid)["pid"] for domid in guests}
        before = {domid: descriptors(keeper) for domid, keeper in keepers.items()}

        def go_on() -> bool:
            return not over.is_set()

        writing = pool.submit(
            write_at_once, wires[WRITING], places["written"], go_on, attributes=True
        )
        clients = [WireClient(wires[domid]) for domid in ASKING]
        asking = pool.submit(ask, clients, places["mirror"], seed, go_on)
        for running in (writing, asking):
            running.add_done_callback(lambda _: over.set())
        killed = kill(list(keepers.values()), kills, seed, over)
        over.set()
        longest, steps = writing.result(), asking.result()
        assert killed == kills
        for domid, keeper in keepers.items():
            device = bed.device(domid)
            assert (device["state"], device["pid"]) == ("connected", keeper)
            assert (device["fids"], device["open_files"]) == (1, 0)
            assert descriptors(keeper) == before[domid]
        for wire in wires.values():
            wire.close()
    print(f"\n{killed} kills, {steps} steps compared; longest wait {longest * 1000:.0f} ms")


@pytest.mark.slow
@pytest.mark.usefixtures("leak_free", "user_attributes")
@pytest.mark.parametrize("policy", POLICIES)
def test_thirty_kills_are_not_noticed(tmp_path: Path, policy: str) -> None:
    kill_many(tmp_path, 30, 1, POLICIES[policy])


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("leak_free", "user_attributes")
@pytest.mark.parametrize("policy", POLICIES)
def test_many_kills_are_not_noticed(
    tmp_path: Path, pytestconfig: pytest.Config, policy: str
) -> None:
    kill_many(tmp_path, pytestconfig.getoption("kills"), 2, POLICIES[policy])
