"""In Dom0: where the instructions of one operation go, by domain, process and function.

Meaningful where the machine's clock counts instructions.  Each job is done three times over on each
share: once to read the clocks before and after, once under perf(1), once under strace(1), because a
process that is watched takes longer.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tools.lab.bench.domains import Domains
from tools.lab.bench.jobs import JOBS
from tools.lab.bench.peers import cpu

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.lab.guests import Guest
    from tools.lab.bench.jobs import Job
    from tools.lab.bench.peers import Peer
    from tools.lab.bench.turns import Bench

PACKAGES: Final = ("linux-perf", "strace")
"""What Dom0 needs for it."""
_TURNS: Final = 3
"""Of a job, one after the other: enough for clocks that tick every 4 ms."""
_SAMPLES: Final = 5000
"""A second, of the virtual clock: one every 100,000 instructions."""
_LINES: Final = 45
"""Of a report."""


class Clocks(NamedTuple):
    """Seconds so far: a backend's are among Dom0's, Xen's among those of whom it serves."""

    guest: float
    dom0: float
    backend: float
    """Of the backend's own processes, exact."""
    ticks: float
    """The same by Linux's ticks, user and system."""
    user_ticks: float
    sleeps: int
    """How often one of their threads went to sleep."""


class Profile:
    """Of a guest with its shares."""

    def __init__(self, bench: Bench, guest: Guest, peers: Sequence[Peer]) -> None:
        self._bench: Final = bench
        self._guest: Final = guest
        self._domains: Final = Domains()
        self._pids: Final = {
            peer.name: peer.processes(guest) or peer.shared_processes() for peer in peers
        }
        self._peers: Final = peers
        self._turn = 100

    def text(self, names: Sequence[str]) -> str:
        """The whole report on the jobs called so."""
        head = (
            f"{'instructions for one':<24}{'backend':<15}{'all':>9}{'guest':>9}{'Dom0':>9}"
            f"{'backend':>9}{'its code':>9}{'sleeps':>8}"
        )
        parts, calls, functions = [head], [], []
        for peer in self._peers:
            pids = ",".join(map(str, self._pids[peer.name]))
            rows = self._clocks(peer, names)
            parts += rows
            with _watched(["strace", "-c", "-f", "-p", pids, "-o", "/run/strace.txt"]):
                self._do(peer, names, 1)
            calls.append(f"{peer.title}: {', '.join(names)}\n{Path('/run/strace.txt').read_text()}")
            perf = ["perf", "record", "-q", "-a", "-e", "cpu-clock", "-F", str(_SAMPLES)]
            with _watched([*perf, "-o", "/run/perf.data"]):
                self._do(peer, names, _TURNS)
            functions.append(f"{peer.title}: {', '.join(names)}\n{_report()}")
        return "\n\n".join(("\n".join(parts), *calls, *functions))

    def _clocks(self, peer: Peer, names: Sequence[str]) -> list[str]:
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
        for _ in range(_TURNS):
            self._turn += 1
            for name in names:
                before = self._read(peer)
                turn = self._bench.do(name, peer, self._turn)
                spent = (end - start for end, start in zip(self._read(peer), before, strict=True))
                found[name].append((turn["seconds"], *spent))
        return [line(JOBS[name], peer.title, turns) for name, turns in found.items()]

    def _do(self, peer: Peer, names: Sequence[str], turns: int) -> None:
        for _ in range(turns):
            self._turn += 1
            for name in names:
                self._bench.do(name, peer, self._turn)

    def _read(self, peer: Peer) -> Clocks:
        tasks = [
            task for pid in self._pids[peer.name] for task in Path(f"/proc/{pid}/task").iterdir()
        ]
        ticks = os.sysconf("SC_CLK_TCK")
        user = sum(
            int((task / "stat").read_text().rpartition(")")[2].split()[11]) for task in tasks
        )
        return Clocks(
            self._domains.seconds(self._guest.domid),
            self._domains.seconds(0),
            sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9,
            cpu(self._pids[peer.name]),
            user / ticks,
            sum(_sleeps(task) for task in tasks),
        )


def line(job: Job, backend: str, turns: Sequence[tuple[float, ...]]) -> str:
    """A line of the report; each turn has the job's seconds, and what ``Clocks`` has."""
    seconds, guest, dom0, process, ticks, user, sleeps = (
        sum(values) / (len(turns) * job.operations) for values in zip(*turns, strict=True)
    )
    code = process * user / ticks if ticks else 0.0
    numbers = "".join(f"{each * 5e8:>9,.0f}" for each in (seconds, guest, dom0, process, code))
    return f"{job.title:<24}{backend:<15}{numbers}{sleeps:>8.1f}"


def _sleeps(task: Path) -> int:
    for line in (task / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "voluntary_ctxt_switches":
            return int(value)
    return 0


@contextmanager
def _watched(command: list[str]) -> Iterator[None]:
    """A context during which a program looks on; it has written its file at the end."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        # Both say nothing when they have begun.
        subprocess.run(["sleep", "1"], check=True)
        yield
    finally:
        process.send_signal(2)
        process.wait(60)


def _report() -> str:
    command = ["perf", "report", "-i", "/run/perf.data", "--stdio", "--percent-limit", "0.4"]
    shown = []
    for keys in ("comm,dso", "comm,dso,symbol"):
        done = subprocess.run(
            [*command, "--sort", keys], capture_output=True, text=True, check=False
        )
        lines = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
        shown += [*lines[:_LINES], ""]
    return "\n".join(shown)
