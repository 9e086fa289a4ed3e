"""``make lab``: builds the machine, runs the tests in its Dom0, prints a table."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tools.lab import suite
from tools.lab.build import LAB, build
from tools.lab.images import PLAIN, SYSTEMD
from tools.lab.machine import XenMachine
from tools.lab.stacks import STACKS
from tools.linux_guest.errors import GuestError
from tools.linux_guest.programs import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.lab.stacks import Stack
    from tools.lab.suite import Outcome


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="make lab",
        description="Run the lab's tests under real Xen, in QEMU.",
        epilog="example: make lab ARGS='tests/lab/test_mounting.py -k loose'",
    )
    parser.add_argument(
        "--stack",
        choices=[*STACKS, "all"],
        default="12",
        help="Debian's release, or all, one after the other; default: 12",
    )
    parser.add_argument(
        "--init",
        choices=(PLAIN, SYSTEMD),
        default=PLAIN,
        help="Dom0's: a script, or all that Debian starts, with udev and our unit; default: plain",
    )
    parser.add_argument(
        "--seconds", type=int, default=3600, help="after which the tests count as hung"
    )
    parser.add_argument(
        "--shell", action="store_true", help="no tests: run what is typed, line by line, in Dom0"
    )
    args, rest = parser.parse_known_args()
    args.pytest = rest
    return args


@contextlib.contextmanager
def started(stack: Stack, logs: Path, init: str) -> Iterator[XenMachine]:
    """A machine that is up, made anew."""
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    with contextlib.ExitStack() as undo:
        # Beside what is kept, not in /tmp, which may lie in memory.
        scratch = Path(tempfile.mkdtemp(prefix="run-", dir=LAB))
        undo.callback(shutil.rmtree, scratch)
        print(f"lab: {stack.title}", flush=True)
        built = build(stack, scratch, init)
        start = time.monotonic()
        machine = undo.enter_context(
            XenMachine(built.xen, built.kernel, built.dom0, logs, disk=built.workloads)
        )
        print(f"  Dom0 is up after {time.monotonic() - start:.0f} s", flush=True)
        yield machine


def shell(machine: XenMachine) -> None:
    """Run lines in Dom0 until the end of the input."""
    print("Each line runs in Dom0 by itself (no terminal, 10 minutes at most); Ctrl-D ends Xen.")
    while True:
        try:
            line = input("dom0# ")
        except EOFError:
            return
        job = machine.run(line, 600)
        sys.stdout.write(job.output)
        if job.status:
            print(f"[status {job.status}]")


def tests(stack: str, args: argparse.Namespace) -> list[Outcome]:
    """Run them in a machine of their own.  Raises ``GuestError``."""
    logs = LAB / "logs" / stack
    with started(STACKS[stack], logs, args.init) as machine:
        try:
            found = suite.run(machine, args.pytest, args.seconds, sys.stdout.write)
        finally:
            suite.fetch_logs(machine, logs)
    (logs / "table.txt").write_text(f"{suite.table({stack: found})}\n")
    return found


def all_tests(stacks: Sequence[str], args: argparse.Namespace) -> int:
    """Run them in each stack, print one table; the exit status."""
    start = time.monotonic()
    found, broken = {}, False
    for stack in stacks:
        try:
            found[stack] = tests(stack, args)
        except GuestError as error:
            print(f"lab: {error}", file=sys.stderr)
            broken = True
    outcomes = [outcome for run in found.values() for outcome in run]
    counts = Counter(outcome.verdict for outcome in outcomes)
    verdicts = f"{counts['ok']} passed, {counts['FAILED']} failed, {counts['skipped']} skipped"
    took = f"{time.monotonic() - start:.0f} s; logs are in {LAB / 'logs'}"
    print(f"\n{suite.table(found)}\n\nlab: {verdicts}; {took}")
    return 1 if broken or counts["FAILED"] or not counts["ok"] else 0


def main() -> int:
    """The exit status: 0 all is well, 1 something failed, 2 wrong usage."""
    args = arguments()
    stacks = list(STACKS) if args.stack == "all" else [args.stack]
    try:
        require("qemu-system-x86_64", "mmdebstrap")
        if not args.shell:
            return all_tests(stacks, args)
        with started(STACKS[stacks[0]], LAB / "logs" / stacks[0], args.init) as machine:
            shell(machine)
    except GuestError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
