"""Many devices at once, some of which die: the others see no difference, and nothing is left."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tools.testbed import Testbed

GUEST = Path(__file__).with_name("guest.py")
STEADY = range(1, 21)
DOOMED = range(21, 26)
FILES = 100
MOST_BYTES = 8 << 20


def start(bed: Testbed, domid: int, seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(GUEST), bed.platform]
        + [str(number) for number in (domid, seed, FILES, MOST_BYTES)],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_frontends_are_undisturbed_while_five_others_are_killed(
    bed: Testbed, tmp_path: Path
) -> None:
    for domid in (*STEADY, *DOOMED):
        path = tmp_path / str(domid)
        path.mkdir()
        bed.guest(domid, path)
    steady = [start(bed, domid, domid) for domid in STEADY]
    dice = random.Random(1)
    kills = 0
    try:
        while kills < 10 and any(process.poll() is None for process in steady):
            # Each death comes at another point of the guest's life: after that many lines read
            # from it and while it writes, which is where it is for most of its time.
            domid = dice.choice(DOOMED)
            doomed = start(bed, domid, 1000 + kills)
            assert doomed.stdout is not None
            with doomed:
                assert doomed.stdout.readline() == "connected\n"
                steps = dice.randrange(3)
                wait_for_files(tmp_path / str(domid), f"d{1000 + kills}-{steps}", doomed)
                doomed.kill()
            kills += 1
        results = [process.communicate(timeout=600)[0] for process in steady]
    finally:
        for process in steady:
            process.kill()
            process.communicate()
    assert results == ["connected\nok\n"] * len(STEADY)
    assert kills >= 5
    devices = bed.status()["devices"]
    assert len(devices) == len(STEADY) + len(DOOMED)
    for domid in DOOMED:  # whoever died may come back
        doomed = start(bed, domid, 5000 + domid)
        with doomed:
            assert doomed.communicate(timeout=300)[0] == "connected\nok\n"


def wait_for_files(folder: Path, name: str, writer: subprocess.Popen[str]) -> None:
    """Until the guest has created ``name``; the folder's own change is what wakes us."""
    while not (folder / name).exists():
        assert writer.poll() is None
