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
    """Medians by size, less what the commands take, and how many times the share is faster.

    No less than so many times (``>``), where the share's time is lost in what the commands' differ;
    ``-`` where both are.
    """
    lines = [f"{'bytes':>10}{'commands, s':>13}{'console, s':>12}{'share, s':>10}{'faster':>9}"]
    for size in sorted({int(key.split()[1]) for key in times}):
        nowhere = times[f"nowhere {size}"]
        commands, noise = median(nowhere), max(nowhere) - min(nowhere)
        console, share = (median(times[f"{way} {size}"]) - commands for way in ("console", "share"))
        if max(console, share) <= noise:
            faster = "-"
        elif share > noise:
            faster = f"{console / share:.1f}"
        else:
            faster = f">{console / noise:.0f}"
        lines.append(f"{size:10}{commands:13.3f}{console:12.3f}{share:10.3f}{faster:>9}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
