"""In Dom0: gives a guest both shares, has it do the jobs in turn, and notes what they cost.

What is found goes to ``RESULTS`` as JSON, in the shape of ``Results``; how far it is, to standard
output.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from tests.lab.guests import Guest, Root
from tests.lab.service import Service
from tools.lab.bench.jobs import DATA_BYTES, JOBS, LISTED
from tools.lab.bench.memory import StateTimes, memory
from tools.lab.bench.peers import EXPORTS, Ours, Qemu, cpu
from tools.lab.bench.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.lab.bench.peers import Peer

RESULTS: Final = Path("/run/bench.json")
PROFILE: Final = Path("/run/profile.txt")
ROOT: Final = Root("bench.cpio", 768)
DEVICES: Final = 5
"""Devices of ours that are attached, each with its worker, to see what one more takes."""
_SECONDS: Final = 36000
_TURN_SECONDS: Final = 300.0


class Turn(TypedDict):
    """One job, done once on one share."""

    job: str
    peer: str
    seconds: float
    operations: int
    cpu: float
    """Seconds of CPU of the backend's own processes."""
    dom0: float
    """Seconds that Dom0's CPUs were busy, with whatever: interrupts, both backends."""


class Cost(TypedDict):
    """What a backend takes before its first request."""

    to_offer: list[float]
    to_connect: list[float]
    pss: int
    """KiB of the processes that serve one guest."""
    rss: int


class Results(TypedDict):
    """Everything."""

    turns: list[Turn]
    costs: dict[str, Cost]
    next_device: int
    """KiB of PSS that all our processes together take more for one more device."""
    shared: int
    """KiB of PSS of those of our processes that all guests have in common."""


def prepare(peers: Sequence[Peer]) -> None:
    """What the jobs find: on one tmpfs, the same for each."""
    EXPORTS.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "bench", str(EXPORTS)], check=True)
    for peer in peers:
        (peer.export / "listed").mkdir(parents=True)
        (peer.export / "many").mkdir()
        for number in range(LISTED):
            (peer.export / "listed" / f"file-{number:04}").touch()
        with (peer.export / "data").open("wb") as file:
            for _ in range(DATA_BYTES >> 20):
                file.write(bytes(1 << 20))


class Bench:
    """A guest with two shares."""

    def __init__(self, guest: Guest, peers: Sequence[Peer]) -> None:
        self._guest: Final = guest
        self._peers: Final = peers
        # Once: asking our supervisor starts a program, and that takes its time.
        self._pids: Final = {peer.name: peer.processes(guest) for peer in peers}
        guest.begin("exec python3 /lab/source/tools/lab/bench/jobs.py", _SECONDS)
        self._answer("@ready", 60.0)

    def turn(self, number: int, names: Sequence[str]) -> list[Turn]:
        """Each job once on each share; who is first changes from turn to turn."""
        peers = self._peers if number % 2 == 0 else self._peers[::-1]
        return [self.do(name, peer, number) for name in names for peer in peers]

    def do(self, name: str, peer: Peer, number: int) -> Turn:
        """A job, once on one share."""
        pids = self._pids[peer.name]
        before, busy_before = cpu(pids), busy()
        self._guest.send(f"@{name} {peer.folder} {number}")
        seconds, operations = self._answer("@took ", _TURN_SECONDS).split()
        print(f"  {number + 1}: {name} {peer.name}: {float(seconds):.4f} s", flush=True)
        return {
            "job": name,
            "peer": peer.name,
            "seconds": float(seconds),
            "operations": int(operations),
            "cpu": cpu(pids) - before,
            "dom0": busy() - busy_before,
        }

    def _answer(self, start: str, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while True:
            line = self._guest.line(max(0.0, deadline - time.monotonic()))
            assert not line.startswith("@failed"), line
            if line.startswith(start):
                return line.removeprefix(start)


def busy() -> float:
    """Seconds that Dom0's CPUs have not been idle."""
    user, nice, system, _idle, _wait, irq, softirq, *_ = (
        int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / 100


def costs(guest: Guest, ours: Ours, times: dict[str, list[StateTimes]]) -> tuple[int, int]:
    """Attach more devices of ours, and see what one more takes; as ``Results`` has it."""
    one = memory([*ours.shared_processes(), *ours.workers(guest)]).pss
    for number in range(1, DEVICES):
        with StateTimes(ours.backend_class) as watch:
            ours.attach_directory(guest, ours.export, f"more{number}")
        times[ours.name].append(watch)
    many = memory([*ours.shared_processes(), *ours.workers(guest)]).pss
    return (many - one) // (DEVICES - 1), memory(ours.shared_processes()).pss


def run(service: Service, args: argparse.Namespace) -> None:
    """The whole comparison, written down; then the profile, which takes a while."""
    ours, theirs = Ours(service), Qemu()
    peers: list[Peer] = [ours, theirs]
    prepare(peers)
    times: dict[str, list[StateTimes]] = {peer.name: [] for peer in peers}
    with StateTimes(theirs.backend_class) as watch:
        guest = Guest(ROOT, theirs.configuration())
    print("the guest is up, with their share", flush=True)
    with guest:
        times[theirs.name].append(watch)
        with StateTimes(ours.backend_class) as watch:
            ours.attach(guest)
        times[ours.name].append(watch)
        next_device, shared = costs(guest, ours, times)
        found: dict[str, Cost] = {}
        for peer in peers:
            sizes = memory(peer.processes(guest))
            found[peer.name] = {
                "to_offer": [watch.to_offer() for watch in times[peer.name]],
                "to_connect": [watch.to_connect() for watch in times[peer.name]],
                "pss": sizes.pss,
                "rss": sizes.rss,
            }
            peer.mount(guest, args.options)
        print("both shares are mounted", flush=True)
        bench = Bench(guest, peers)
        turns: list[Turn] = []
        for number in range(args.turns):
            turns += bench.turn(number, args.only or list(JOBS))
        results: Results = {
            "turns": turns,
            "costs": found,
            "next_device": next_device,
            "shared": shared,
        }
        RESULTS.write_text(json.dumps(results))
        if args.profile:
            PROFILE.write_text(Profile(bench, guest, peers).text(args.profile))


def arguments() -> argparse.Namespace:
    """What the host asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, required=True)
    parser.add_argument("--only", nargs="*", choices=JOBS)
    parser.add_argument("--profile", nargs="*", choices=JOBS)
    parser.add_argument("--options", required=True, help="of both mounts")
    return parser.parse_args()


def main() -> None:
    """Measure and write down."""
    with Service() as service:
        run(service, arguments())


if __name__ == "__main__":
    main()
