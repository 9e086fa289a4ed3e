"""``make bench-state``: a stub domain's bytes to Dom0, through the share and the PV console."""

from __future__ import annotations

import argparse
import json
import sys
from statistics import median
from typing import TYPE_CHECKING, Final

from tools.lab.build import LAB, build
from tools.lab.images import PLAIN, TESTS
from tools.lab.machine import started
from tools.lab.stacks import STACKS
from tools.linux_guest.errors import GuestError, exit_status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SECONDS: Final = 1200


def main() -> int:
    """The exit status: 0 it was measured, 1 it could not be, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="make bench-state",
        description="Time the way of a stub domain's bytes to Dom0, in one boot of real Xen.",
        epilog="example: make bench-state ARGS=--json",
    )
    parser.add_argument("--json", action="store_true", help="print the single times as JSON")
    args = parser.parse_args()
    return exit_status("bench-state", lambda: run(as_json=args.json))


def run(*, as_json: bool) -> int:
    """Measure and print.  Raises ``GuestError``."""
    stack = STACKS["12"]
    with started(lambda target: build(stack, target, PLAIN), LAB / "logs" / "state") as machine:
        job = machine.run(f"cd /{TESTS} && python3 -m tools.lab.transfer.dom0", _SECONDS)
    if job.status:
        raise GuestError(f"Dom0 could not measure:\n{job.output[-3000:]}")
    said = job.output.splitlines()[-1]
    times: dict[str, list[float]] = json.loads(said)
    print(said if as_json else table(times))
    return 0


def table(times: Mapping[str, Sequence[float]]) -> str:
    """Medians by size, and how many times the share is faster."""
    found = {tuple(key.split()): median(seconds) for key, seconds in times.items()}
    lines = [f"{'bytes':>10}{'console, s':>12}{'share, s':>12}{'times faster':>14}"]
    for size in sorted({int(size) for way, size in found if way != "request"}):
        console, share = found["console", str(size)], found["share", str(size)]
        lines.append(f"{size:10}{console:12.3f}{share:12.3f}{console / share:14.1f}")
    lines.append(f"a request that does nothing takes {found['request', '0']:.3f} s of each")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
