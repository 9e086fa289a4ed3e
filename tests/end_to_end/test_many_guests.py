"""Many devices at once, some of which die: the others see no difference, and nothing is left."""

from __future__ import annotations

import os
import random
import select
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


class Doomed:
    """A domain whose guest process is killed, at a random point of its work, again and again."""

    def __init__(self, bed: Testbed, domid: int, folder: Path, dice: random.Random) -> None:
        self.kills = 0
        self._bed, self._domid, self._folder, self._dice = bed, domid, folder, dice
        self._live()

    def _live(self) -> None:
        seed = 1000 * self._domid + self.kills
        # It dies once this file is there, which is while it writes this one or the next.
        self._fatal = self._folder / f"d{seed}-{self._dice.randrange(10)}"
        self._process = start(self._bed, self._domid, seed)

    def look(self) -> None:
        """Kill it if its time has come, and let it live again."""
        if self._fatal.exists():
            self.end()
            self.kills += 1
            self._live()

    def end(self) -> None:
        """Kill it for good."""
        self._process.kill()
        self._process.communicate()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_frontends_are_undisturbed_while_five_others_are_killed(
    bed: Testbed, tmp_path: Path
) -> None:
    folders = {domid: tmp_path / str(domid) for domid in (*STEADY, *DOOMED)}
    for domid, folder in folders.items():
        folder.mkdir()
        bed.guest(domid, folder)
    dice = random.Random(1)
    doomed = [Doomed(bed, domid, folders[domid], dice) for domid in DOOMED]
    steady = [start(bed, domid, domid) for domid in STEADY]
    try:
        for process in steady:
            ended = os.pidfd_open(process.pid)
            try:
                while not select.select([ended], [], [], 0.05)[0]:
                    for guest in doomed:
                        guest.look()
            finally:
                os.close(ended)
        results = [process.communicate()[0] for process in steady]
    finally:
        for guest in doomed:
            guest.end()
        for process in steady:
            if process.poll() is None:
                process.kill()
                process.communicate()
    assert results == ["connected\nok\n"] * len(STEADY)
    assert sum(guest.kills for guest in doomed) >= len(DOOMED)
    assert len(bed.status()["devices"]) == len(STEADY) + len(DOOMED)
    for domid in DOOMED:  # whoever was killed may come back
        with start(bed, domid, 900_000 + domid) as again:
            assert again.communicate(timeout=300)[0] == "connected\nok\n"
