"""``make bench-neighbour``: what a guest that floods its device costs a well-behaved neighbour.

The neighbour reads 4 KiB at a time, several in flight.  Its rate is taken alone, beside two
processes that only burn CPU (the fair share: as much as any busy neighbour costs), and beside each
flood.  A flood that costs more than the fair share would have a ratio below 1 in the last column.

Both workers are pinned to one CPU and both guests to another, so that each share is one of two.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from frontend_stub.connect import connect_device
from frontend_stub.share import Share
from protocol.xenpv.ids import Domid
from protocol.xenpv.xenbus import XenbusState
from tests.hostile.raw_frontend import RawFrontend
from tools.testbed import Testbed

if TYPE_CHECKING:
    from collections.abc import Iterator

NEIGHBOUR: Final = Domid(5)
HOSTILE: Final = Domid(6)
BLOCK: Final = 4096
FILE_BYTES: Final = 16 << 20
IN_FLIGHT: Final = 16
ENTRIES: Final = 20_000


Flood = Callable[[Testbed, Callable[[], None]], None]
"""Connects as the hostile domain, calls its second argument, and then does not return."""


def flood_events(bed: Testbed, connected: Callable[[], None]) -> None:
    """Notify every event channel without end, with nothing behind it."""
    with RawFrontend(bed.hypervisor.platform(HOSTILE), HOSTILE) as guest:
        guest.begin_anew().mount()
        connected()
        while True:
            for number in range(len(guest.rings)):
                guest.notify(number)


def flood_store(bed: Testbed, connected: Callable[[], None]) -> None:
    """Rewrite the frontend's state, which the supervisor watches."""
    with RawFrontend(bed.hypervisor.platform(HOSTILE), HOSTILE) as guest:
        guest.begin_anew().mount()
        connected()
        while True:
            guest.say(XenbusState.CONNECTED)


def flooding(body: Callable[[Share], object]) -> Flood:
    """Do something with a share, over and over."""

    def flood(bed: Testbed, connected: Callable[[], None]) -> None:
        with Share.attach(connect_device(bed.platform, HOSTILE)) as share:
            share.open("small", os.O_RDWR | os.O_CREAT).close()
            connected()
            while True:
                body(share)

    return flood


def write_much(share: Share) -> None:
    """Writes as large as a message holds, several in flight."""
    with share.open("large", os.O_RDWR | os.O_CREAT) as file:
        data = bytes(file.max_io)
        flight = [file.submit_write(0, data) for _ in range(IN_FLIGHT)]
        for pending in flight:
            share.client.wait(pending)


FLOODS: Final[dict[str, Flood]] = {
    "events": flood_events,
    "opens": flooding(lambda share: share.open("small").close()),
    "directory": flooding(lambda share: share.listdir("many")),
    "writes": flooding(write_much),
    "xenstore": flood_store,
}


@contextlib.contextmanager
def process(work: Callable[[], None], cpu: int) -> Iterator[None]:
    """Runs ``work``, which does not return, in a process of its own."""
    pid = os.fork()
    if pid == 0:
        _child(work, cpu)
    try:
        yield
        if os.waitpid(pid, os.WNOHANG)[0]:
            raise SystemExit("the flood has ended by itself")
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _child(work: Callable[[], None], cpu: int) -> NoReturn:
    try:
        os.sched_setaffinity(0, [cpu])
        work()
    except Exception:  # noqa: BLE001 -- whatever it was, a child does not run its parent's code
        traceback.print_exc()
    finally:
        os._exit(1)


def burn() -> None:
    """Nothing, without end."""
    while True:
        pass


class Bench:
    """A neighbour with an open file, and the CPUs that everything is pinned to."""

    def __init__(self, bed: Testbed, share: Share, seconds: float) -> None:
        cpus = sorted(os.sched_getaffinity(0))
        self.bed: Final = bed
        self.backend_cpu: Final = cpus[0]
        self.guest_cpu: Final = cpus[-1]
        self._seconds = seconds
        self._file: Final = share.open("blocks", os.O_RDWR | os.O_CREAT)
        self._file.pwrite(os.urandom(FILE_BYTES), 0)
        os.sched_setaffinity(bed.device(NEIGHBOUR)["pid"], [self.backend_cpu])
        os.sched_setaffinity(0, [self.guest_cpu])

    def rate(self) -> float:
        """Requests a second."""
        client, flight = self._file.client, deque[Any]()
        blocks = FILE_BYTES // BLOCK
        done = 0
        start = time.perf_counter()
        while (took := time.perf_counter() - start) < self._seconds:
            for _ in range(64):
                if len(flight) == IN_FLIGHT:
                    client.wait(flight.popleft())
                place = done % blocks * BLOCK
                flight.append(self._file.submit_read(place, BLOCK, lambda _slices: None, more=True))
                done += 1
        while flight:
            client.wait(flight.popleft())
        return done / took

    def beside_burners(self) -> float:
        """The rate beside one burner on each CPU."""
        with process(burn, self.backend_cpu), process(burn, self.guest_cpu):
            return self.rate()

    def beside(self, flood: Flood) -> float:
        """The rate beside a flood by the other domain."""
        reader, writer = os.pipe()

        def connected() -> None:
            os.sched_setaffinity(self.bed.device(HOSTILE)["pid"], [self.backend_cpu])
            os.write(writer, b"!")

        with process(lambda: flood(self.bed, connected), self.guest_cpu):
            os.close(writer)
            if not os.read(reader, 1):
                raise SystemExit("the hostile guest did not connect")
            os.close(reader)
            return self.rate()


def run(rounds: int, seconds: float) -> dict[str, float]:
    """The median rate of each case."""
    shm = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 -- a tmpfs is the point
    with Testbed(folder=shm) as bed:
        for domid in (NEIGHBOUR, HOSTILE):
            export = bed.dir / f"export{domid}"
            export.mkdir()
            bed.guest(domid, export)
        many = bed.dir / f"export{HOSTILE}" / "many"
        many.mkdir()
        for number in range(ENTRIES):
            (many / f"{number}").touch()
        with Share.attach(connect_device(bed.platform, NEIGHBOUR)) as share:
            bench = Bench(bed, share, seconds)
            rates: dict[str, list[float]] = {}
            for _ in range(rounds):
                rates.setdefault("alone", []).append(bench.rate())
                rates.setdefault("burners", []).append(bench.beside_burners())
                for name, flood in FLOODS.items():
                    rates.setdefault(name, []).append(bench.beside(flood))
                    print(".", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    return {name: statistics.median(values) for name, values in rates.items()}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: make bench-neighbour ARGS='--rounds 5'",
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each rate (default 2)")
    arguments = parser.parse_args()
    rates = run(arguments.rounds, arguments.seconds)
    print("neighbour's 4 KiB reads    requests/s  of alone  of the fair share")
    for name, rate in rates.items():
        print(
            f"{'beside ' + name if name != 'alone' else name:<25}{rate:>12,.0f}"
            f"{rate / rates['alone']:>10.2f}{rate / rates['burners']:>19.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
