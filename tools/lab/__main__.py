"""``make lab``: builds the machine, runs the tests in its Dom0, prints a table."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from tools.lab import suite
from tools.lab.build import LAB, build, keep
from tools.lab.images import PLAIN, SYSTEMD
from tools.lab.machine import BESIDE_OTHERS, booted, made, started
from tools.lab.shares import dealt, machines, named
from tools.lab.stacks import STACKS
from tools.lab.together import together
from tools.linux_guest.errors import GuestError, exit_status
from tools.linux_guest.machine import PROCESSORS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tools.lab.machine import XenMachine
    from tools.lab.suite import Outcome
    from tools.lab.together import Say


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
        "--machines",
        type=int,
        metavar="N",
        help="so many share the tests, 6 GiB each; default: 2, where the host has room for them",
    )
    parser.add_argument(
        "--seconds", type=int, default=3600, help="after which the tests count as hung"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="after which no test is begun: the others are skipped, and the table says so",
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="no tests: only fetch and make what is kept for later runs, beside other work",
    )
    parser.add_argument(
        "--shell", action="store_true", help="no tests: run what is typed, line by line, in Dom0"
    )
    args, rest = parser.parse_known_args()
    args.pytest = rest if args.minutes is None else [f"--minutes={args.minutes:g}", *rest]
    return args


def machine_of(name: str, args: argparse.Namespace) -> AbstractContextManager[XenMachine]:
    """A machine of that stack, made anew."""
    stack = STACKS[name]
    print(f"lab: {stack.title}", flush=True)
    return started(lambda target: build(stack, target, args.init), LAB / "logs" / name)


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


def say(text: str) -> None:
    """On standard output, at once."""
    print(text, end="", flush=True)


def tests(stack: str, args: argparse.Namespace) -> list[Outcome]:
    """Run them in machines of their own.  Raises ``GuestError``."""
    logs = LAB / "logs" / stack
    shutil.rmtree(logs, ignore_errors=True)
    chosen, options = named(args.pytest)
    shares = dealt(chosen, args.machines or machines(), stack)
    also = f", in {len(shares)} machines at the same time" if len(shares) > 1 else ""
    print(f"lab: {STACKS[stack].title}{also}", flush=True)
    with made(partial(build, STACKS[stack], init=args.init)) as built:
        processors = BESIDE_OTHERS if len(shares) > 1 else PROCESSORS
        boot = partial(booted, built, processors=processors)
        runs = [partial(share_of, boot, args.seconds, [*share, *options]) for share in shares]
        found = together(runs, logs, say) if len(runs) > 1 else runs[0](logs, say)
    (logs / "table.txt").write_text(f"{suite.table({stack: found})}\n")
    return found


def share_of(
    boot: Callable[[Path], AbstractContextManager[XenMachine]],
    seconds: int,
    words: Sequence[str],
    logs: Path,
    say: Say,
) -> list[Outcome]:
    """Run tests in a machine.  Raises ``GuestError``."""
    with boot(logs) as machine:
        try:
            return suite.run(machine, words, seconds, say)
        finally:
            suite.fetch_logs(machine, logs)


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
    return exit_status("lab", lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """Tests, a shell, or preparations; the exit status.  Raises ``GuestError``."""
    stacks = list(STACKS) if args.stack == "all" else [args.stack]
    if args.prepare:
        for stack in stacks:
            keep(STACKS[stack])
        return 0
    if not args.shell:
        return all_tests(stacks, args)
    with machine_of(stacks[0], args) as machine:
        shell(machine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
