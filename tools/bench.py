"""``make bench``: the proxy's speed, against ``pread`` and ``pwrite`` on the same tmpfs in one run.

A guest process sends requests of one size through the rings, several in flight; the worker serves
them from a file on a tmpfs.  Each row is the median of several rounds; each round measures the
proxy and, right after it, the system calls alone: both meet the same state of the machine.

"direct" is ``preadv``/``pwritev`` of the same size on the same file, one after the other, with a
buffer as large as the rings (a small one would stay in the CPU's cache, which no ring can).
"CPU" is the worker's user and system time for one request; the guest's work is not in it.
Guest and worker have a CPU each where there are two, as a guest has a vCPU of its own under Xen.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from frontend_stub.connect import connect_device
from frontend_stub.share import Share
from protocol.ninep.flags import GETATTR_BASIC
from protocol.ninep.messages import Rgetattr, Tgetattr
from protocol.xenpv.ids import Domid
from tools.testbed import Testbed

if TYPE_CHECKING:
    from collections.abc import Callable

    from frontend_stub.pending import Pending
    from frontend_stub.transport import Slices

KIB: Final = 1024
FILE_BYTES: Final = 64 << 20
DOMID: Final = 5
RING_BYTES: Final = 2 << 20
"""What two rings of order 9 hold each way."""

FLOOR_BYTES: Final = 16 << 20
"""A round moves at least this much."""


class Row(NamedTuple):
    """One measurement."""

    operation: str
    size: int
    in_flight: int
    requests_per_second: float
    megabytes_per_second: float
    cpu_microseconds: float
    direct_ratio: float


class Case(NamedTuple):
    """What a row measures."""

    operation: str
    size: int
    in_flight: int


CASES: Final = (
    Case("getattr", 0, 1),
    Case("getattr", 0, 8),
    *(
        Case(operation, size, in_flight)
        for size, windows in ((4 * KIB, (1, 16)), (128 * KIB, (8,)), (512 * KIB, (4,)))
        for in_flight in windows
        for operation in ("read", "write")
    ),
)


class Bench:
    """A connected guest, its file, and the same file as Dom0 sees it."""

    def __init__(self, bed: Testbed, share: Share, path: Path) -> None:
        self._bed = bed
        self._file: Final = share.open("bench", os.O_RDWR | os.O_CREAT)
        self._fd: Final = os.open(path / "bench", os.O_RDWR)
        self._buffer: Final = memoryview(bytearray(RING_BYTES))
        for offset in range(0, FILE_BYTES, RING_BYTES):
            os.pwrite(self._fd, os.urandom(RING_BYTES), offset)

        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(self._bed.device(DOMID)["process"], cpus[:1])
        os.sched_setaffinity(0, cpus[-1:])

    def close(self) -> None:
        """Close both."""
        self._file.close()
        os.close(self._fd)

    def measure(self, case: Case, rounds: int) -> Row:
        """The median of ``rounds``."""
        size = min(case.size, self._file.max_io)
        count = max(64 * case.in_flight, FLOOR_BYTES // size if size else 0, 0 if size else 20_000)
        if 0 < size < 64 * KIB:
            count = 20_000 if case.in_flight > 1 else 4_000
        times, cpus, ratios = [], [], []
        for _ in range(rounds):
            before = self._worker_cpu()
            took = self._through_the_proxy(case, size, count)
            cpus.append((self._worker_cpu() - before) / count)
            direct = self._direct(case, size, count)
            times.append(took / count)
            ratios.append(direct / took)
        per_request = statistics.median(times)
        return Row(
            case.operation,
            case.size,
            case.in_flight,
            1 / per_request,
            size / per_request / 1e6,
            statistics.median(cpus) * 1e6,
            statistics.median(ratios),
        )

    def _worker_cpu(self) -> float:
        pid = self._bed.device(DOMID)["process"]
        # Nanoseconds on a CPU, exact where the tick-based times of proc(5) are not.
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9

    def _through_the_proxy(self, case: Case, size: int, count: int) -> float:
        submit = self._submitter(case.operation, size)
        client = self._file.client
        flight: deque[Pending[Any]] = deque()
        start = time.perf_counter()
        for number in range(count):
            if len(flight) == case.in_flight:
                client.wait(flight.popleft())
            flight.append(submit(number))
        while flight:
            client.wait(flight.popleft())
        return time.perf_counter() - start

    def _submitter(self, operation: str, size: int) -> Callable[[int], Pending[Any]]:
        file, client = self._file, self._file.client
        if operation == "getattr":
            fid = file.fid
            return lambda _: client.submit(
                lambda tag: Tgetattr(tag, fid, GETATTR_BASIC), Rgetattr, more=True
            )
        places = RING_BYTES // size
        offsets = FILE_BYTES // size
        views = [self._buffer[i * size : (i + 1) * size] for i in range(places)]
        more = size < 64 * KIB
        if operation == "write":
            return lambda number: file.submit_write(
                number % offsets * size, views[number % places], more=more
            )
        sinks = [_sink(view) for view in views]
        return lambda number: file.submit_read(
            number % offsets * size, size, sinks[number % places], more=more
        )

    def _direct(self, case: Case, size: int, count: int) -> float:
        fd, buffer = self._fd, self._buffer
        if case.operation == "getattr":
            start = time.perf_counter()
            for _ in range(count):
                os.fstat(fd)
            return time.perf_counter() - start
        call = os.preadv if case.operation == "read" else os.pwritev
        places, offsets = RING_BYTES // size, FILE_BYTES // size
        views = [[buffer[i * size : (i + 1) * size]] for i in range(places)]
        start = time.perf_counter()
        for number in range(count):
            call(fd, views[number % places], number % offsets * size)
        return time.perf_counter() - start


def _sink(view: memoryview) -> Callable[[Slices], None]:
    def place(slices: Slices) -> None:
        at = 0
        for piece in slices:
            view[at : at + len(piece)] = piece
            at += len(piece)

    return place


def run(rounds: int, *options: str, recovery: bool = False) -> list[Row]:
    """All rows; ``options`` go to ``xen-fileproxy run``, ``recovery`` to its configuration."""
    rows = []
    shm = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 -- a tmpfs is the point
    with Testbed(*options, folder=shm, config="recovery = true\n" if recovery else "") as bed:
        path = bed.dir / "export"
        path.mkdir()
        bed.guest(DOMID, path)
        with Share.attach(connect_device(bed.platform, Domid(DOMID))) as share:
            bench = Bench(bed, share, path)
            for case in CASES:
                rows.append(bench.measure(case, rounds))
                print(".", end="", file=sys.stderr, flush=True)
            bench.close()
    print(file=sys.stderr)
    return rows


def show(rows: list[Row]) -> None:
    """The table."""
    print("operation      size  in flight  requests/s      MB/s  CPU us/request  of direct")
    for row in rows:
        size = f"{row.size // KIB} KiB" if row.size else "-"
        print(
            f"{row.operation:<9}{size:>10}{row.in_flight:>11}{row.requests_per_second:>12,.0f}"
            f"{row.megabytes_per_second:>10,.0f}{row.cpu_microseconds:>16.1f}"
            f"{row.direct_ratio:>11.2f}"
        )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: make bench ARGS='--rounds 9 --json'",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds per row (default 5)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--no-sandbox", action="store_true", help="with an unconfined worker")
    parser.add_argument(
        "--recovery", action="store_true", help="with a worker that keeps a journal"
    )
    arguments = parser.parse_args()
    options = ["--no-sandbox"] if arguments.no_sandbox else []
    rows = run(arguments.rounds, *options, recovery=arguments.recovery)
    if arguments.json:
        print(json.dumps([row._asdict() for row in rows], indent=2))
    else:
        show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
