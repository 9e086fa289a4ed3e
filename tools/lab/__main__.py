"""``make lab``: builds the machine, runs the tests in its Dom0, prints a table."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tools.lab import suite
from tools.lab.build import LAB, build
from tools.lab.machine import XenMachine
from tools.lab.stacks import STACKS
from tools.linux_guest.errors import GuestError
from tools.linux_guest.programs import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.lab.stacks import Stack


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="make lab",
        description="Run the lab's tests under real Xen, in QEMU.",
        epilog="example: make lab ARGS='tests/lab/test_mounting.py -k loose'",
    )
    parser.add_argument("--stack", choices=list(STACKS), default="12", help="Debian; default: 12")
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
def started(stack: Stack, logs: Path) -> Iterator[XenMachine]:
    """A machine that is up, made anew."""
    require("qemu-system-x86_64", "mmdebstrap")
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    with contextlib.ExitStack() as undo:
        scratch = Path(tempfile.mkdtemp(prefix="xfp-lab-"))
        undo.callback(shutil.rmtree, scratch)
        print(f"lab: {stack.title}", flush=True)
        built = build(stack, scratch)
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


def main() -> int:
    """The exit status: 0 all is well, 1 something failed, 2 wrong usage."""
    args = arguments()
    start = time.monotonic()
    logs = LAB / "logs" / args.stack
    try:
        with started(STACKS[args.stack], logs) as machine:
            if args.shell:
                shell(machine)
                return 0
            try:
                found = suite.run(machine, args.pytest, args.seconds, sys.stdout.write)
            finally:
                suite.fetch_logs(machine, logs)
    except GuestError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
    failed = sum(outcome.verdict == "FAILED" for outcome in found)
    text = suite.table(found)
    (logs / "table.txt").write_text(f"{text}\n")
    took = f"{time.monotonic() - start:.0f} s; logs are in {logs}"
    print(f"\n{text}\n\nlab: {len(found) - failed} passed, {failed} failed; {took}")
    return 1 if failed or not found else 0


if __name__ == "__main__":
    sys.exit(main())
