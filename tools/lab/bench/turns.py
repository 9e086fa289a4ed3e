"""In Dom0: has a guest do the jobs in turn, and notes what each took."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Final

from tests.lab.guests import Root
from tools.lab.bench.domains import Domains
from tools.lab.bench.jobs import DATA_BYTES, LISTED
from tools.lab.bench.peers import EXPORTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.lab.guests import Guest
    from tools.lab.bench.peers import Peer
    from tools.lab.bench.results import Turn

GUEST: Final = Root("bench.cpio", 768)
MOUNTED: Final = "exec python3 /lab/source/tools/lab/bench/jobs.py"
"""What the guest runs to do the jobs in a folder where a share is mounted."""
_SECONDS: Final = 36000
_TURN_SECONDS: Final = 300.0


class JobError(Exception):
    """A job failed in the guest; the text is its error."""


def prepare(names: Iterable[str]) -> None:
    """What the jobs find: on one tmpfs, the same for each of the peers."""
    EXPORTS.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "bench", str(EXPORTS)], check=True)
    for export in (EXPORTS / name for name in names):
        (export / "listed").mkdir(parents=True)
        (export / "many").mkdir()
        for number in range(LISTED):
            (export / "listed" / f"file-{number:04}").touch()
        with (export / "data").open("wb") as file:
            for _ in range(DATA_BYTES >> 20):
                file.write(bytes(1 << 20))


class Bench:
    """A guest with its shares."""

    def __init__(self, guest: Guest, peers: Sequence[Peer], command: str = MOUNTED) -> None:
        """``command`` is what the guest runs from now on."""
        self._guest: Final = guest
        self._peers: Final = peers
        self._domains: Final = Domains()
        guest.begin(command, _SECONDS)
        self._answer("@ready", 60.0)

    def turn(self, number: int, names: Sequence[str]) -> list[Turn]:
        """Each job once on each share; who is first changes from turn to turn."""
        peers = self._peers if number % 2 == 0 else self._peers[::-1]
        return [self.do(name, peer, number) for name in names for peer in peers]

    def do(self, name: str, peer: Peer, number: int) -> Turn:
        """A job, once on one share.  Raises ``JobError``."""
        before = self._domains.seconds(0)
        self._guest.send(f"@{name} {peer.folder} {number}")
        seconds, operations = self._answer("@took ", _TURN_SECONDS).split()
        print(f"  {number + 1}: {name} {peer.name}: {float(seconds):.4f} s", flush=True)
        return {
            "job": name,
            "peer": peer.name,
            "seconds": float(seconds),
            "operations": int(operations),
            "dom0": self._domains.seconds(0) - before,
        }

    def _answer(self, start: str, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while True:
            line = self._guest.line(max(0.0, deadline - time.monotonic()))
            if line.startswith("@failed"):
                raise JobError(line.partition(": ")[2])
            if line.startswith(start):
                return line.removeprefix(start)
