"""What a journal costs: the pump with one (``recovery = true``) and without, in one process.

Requests lie in the ring, so many at once, and one call of ``Connection.service`` answers them: no
worker sleeps or wakes, and no guest takes a turn.  Each figure is the best of many rounds, because
everything else on the machine only ever adds.  A lone request costs a real worker several times
what the pump does (``make bench`` counts all of it), so its ratio here is the worst there is.

    python -m tools.bench_journal
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.fileserver.grouped_lane import GroupedLane
from backend.journal.carrying import Carrier, no_point
from backend.journal.journal import Journal
from backend.journal.writer import Writer
from protocol.ninep.codec import encode
from protocol.ninep.flags import AT_REMOVEDIR, GETATTR_BASIC
from protocol.ninep.ids import Fid, Tag
from protocol.ninep.messages import Tclunk, Tgetattr, Tmkdir, Tread, Tunlinkat, Twalk, Twrite
from tests.backend.fileserver.ring_peer import ROOT_FID, RingPeer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocol.ninep.messages import Message

FILE: Final = Fid(7)
OTHER: Final = Fid(8)
TAG: Final = Tag(1)
SIZE: Final = 4096
BATCHES: Final = 40
_ORDER: Final = 6
_ROOM: Final = SIZE << _ORDER >> 1
"""Bytes of one direction of the ring."""


class Case(NamedTuple):
    """So many times these requests, all at once."""

    name: str
    requests: Sequence[Message]
    times: int


_GETATTR: Final = Tgetattr(TAG, FILE, GETATTR_BASIC)
_READ: Final = Tread(TAG, FILE, 0, SIZE)
_WRITE: Final = Twrite(TAG, FILE, 0, SIZE)
_WALK: Final = (Twalk(TAG, ROOT_FID, OTHER, (b"file",)), Tclunk(TAG, OTHER))
_MKDIR: Final = (
    Tmkdir(TAG, ROOT_FID, b"d", 0o755, 0),
    Tunlinkat(TAG, ROOT_FID, b"d", AT_REMOVEDIR),
)
CASES: Final = (
    *(Case("getattr", (_GETATTR,), times) for times in (1, 8, 16)),
    *(Case("read 4 KiB", (_READ,), times) for times in (1, 16)),
    *(Case("write 4 KiB", (_WRITE,), times) for times in (1, 6)),
    *(Case("walk, clunk", _WALK, times) for times in (1, 8)),
    Case("mkdir, rmdir", _MKDIR, 1),
)


class Row(NamedTuple):
    """Microseconds of one request."""

    requests: str
    at_once: int
    plain: float
    journal: float


def peer(root: Path, *, journal: bool) -> RingPeer:
    """A client with a file."""
    served = RingPeer(root, rings=1, order=_ORDER, lane=GroupedLane if journal else None)
    if journal:
        connection = served.connection
        writer = Writer(Journal(1, 1000), served.session, connection.lanes)
        writer.indices[:] = [0, 0]
        for lane in connection.lanes:
            assert isinstance(lane, GroupedLane)
            lane.commit = writer.commit
        connection.carried_by(Carrier(writer, [], no_point))
    served.mount()
    served.create(b"file", FILE)
    served.call(_WRITE, bytes(SIZE))
    return served


def best(served: RingPeer, case: Case, rounds: int) -> float:
    """Microseconds of one request."""
    frames = [
        encode(request, SIZE) + bytes(SIZE) if isinstance(request, Twrite) else encode(request)
        for request in case.requests
    ] * case.times
    replies = served.ends[0][0]
    times = []
    for _ in range(rounds):
        took = 0.0
        for _ in range(BATCHES):
            for frame in frames:
                served.put(frame)
            began = time.perf_counter()
            served.connection.service(0)
            took += time.perf_counter() - began
            replies.advance(replies.available())
        times.append(took)
    return min(times) / (BATCHES * len(frames)) * 1e6


def measure(rounds: int) -> list[Row]:
    """Each case, with both in turn."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        plain, journal = peer(Path(one), journal=False), peer(Path(other), journal=True)
        rows = [
            Row(
                case.name,
                case.times * len(case.requests),
                best(plain, case, rounds),
                best(journal, case, rounds),
            )
            for case in CASES
        ]
        plain.close()
        journal.close()
    return rows


def main() -> int:
    """Measure, and print a row each."""
    parser = argparse.ArgumentParser(
        prog="bench_journal",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m tools.bench_journal --rounds 200",
    )
    parser.add_argument("--rounds", type=int, default=60, help="of each row; default: 60")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    args = parser.parse_args()
    rows = measure(args.rounds)
    if args.json:
        print(json.dumps([row._asdict() for row in rows]))
        return 0
    print(f"{'requests':14}{'at once':>8}{'plain us':>10}{'journal us':>12}{'more':>8}")
    for row in rows:
        more = f"{100 * (row.journal / row.plain - 1):+.0f} %"
        print(f"{row.requests:14}{row.at_once:8}{row.plain:10.2f}{row.journal:12.2f}{more:>8}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
