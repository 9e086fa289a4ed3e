"""``make bench-lab``: builds the machine, has Dom0 measure, prints the tables."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from tools.lab import suite
from tools.lab.bench import profile
from tools.lab.bench.jobs import JOBS
from tools.lab.bench.results import PROFILE, RESULTS
from tools.lab.bench.table import costs_table, jobs_table
from tools.lab.bench.turns import GUEST
from tools.lab.build import LAB, Built, unpacked
from tools.lab.hypervisor import hypervisor
from tools.lab.images import MOUNTS, PROGRAMS, TREES, write_dom0, write_python_guest
from tools.lab.machine import started
from tools.lab.stacks import STACKS
from tools.linux_guest.cache import Cache
from tools.linux_guest.errors import GuestError, exit_status
from tools.linux_guest.kernels import kernel
from tools.linux_guest.machine import PROCESSORS
from tools.linux_guest.root import root_archive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tools.lab.bench.results import Results


class Kind(NamedTuple):
    """A comparison, as a stack can have it."""

    peer: str
    modules: tuple[str, ...]
    """What the guest loads at once."""
    later: tuple[str, ...]
    """What it loads where it is to mount."""
    options: str
    """Of mount, by default."""
    dom0: str
    """For ``tools.lab.bench.dom0``."""


KINDS: Final = {
    "12": Kind("QEMU", MOUNTS, (), "version=9p2000.L,cache=none", ""),
    "13": Kind("xen-9pfsd", PROGRAMS, MOUNTS, "version=9p2000.u,cache=none", " --apart"),
}
"""By Debian's release."""
CLOCKS: Final = {
    "instructions": ("-accel", "tcg,thread=single", "-icount", "shift=1,sleep=off", "-smp", "1"),
    "host": PROCESSORS,
}
"""What makes the emulated machine's time pass.  ``instructions``: each takes two nanoseconds, of
whichever domain and of Xen, on one processor, so that what else the host does makes no difference.
``host``: the host's clock, on two processors."""
_MEMORY: Final = 7168
_SECONDS: Final = 1800
_TREES: Final = (*TREES, "tools/lab/bench")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="make bench-lab",
        description="Compare with another 9pfs backend, under real Xen in QEMU.",
        epilog="example: make bench-lab ARGS='--turns 2 --only read-4k create'",
    )
    parser.add_argument(
        "--stack",
        choices=KINDS,
        default="12",
        help="Debian's release: 12 with QEMU's backend, 13 with Xen's xen-9pfsd; default: 12",
    )
    parser.add_argument("--turns", type=int, default=2, help="of each job and share; default: 2")
    parser.add_argument("--only", nargs="+", choices=JOBS, help="some jobs; default: all")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="instructions", help="default: %(default)s"
    )
    parser.add_argument(
        "--profile",
        nargs="+",
        choices=JOBS,
        help="then say where the instructions of these jobs go, by perf and strace in Dom0",
    )
    parser.add_argument(
        "--options",
        help="of mount, for both shares; default: version=9p2000.L,cache=none, and 9p2000.u with"
        " --stack 13",
    )
    parser.add_argument("--json", action="store_true", help="print what was measured as JSON")
    args = parser.parse_args()
    args.options = args.options or KINDS[args.stack].options
    return args


def build(target: Path, name: str, packages: Sequence[str]) -> Built:
    """As ``tools.lab.build.build``, with ``packages`` in Dom0, too, and one guest."""
    stack, kind = STACKS[name], KINDS[name]
    cache = Cache(LAB / "kept")
    linux = kernel(stack.kernel, cache)
    guest_root = root_archive(cache, stack.suite, stack.guest, "minbase")
    dom0_root = root_archive(cache, stack.suite, (*stack.dom0, *packages), "minbase")
    guest = target / GUEST.file
    write_python_guest(guest, linux, guest_root, kind.modules, _TREES, later=kind.later)
    vmlinux = unpacked(linux, target)
    write_dom0(target / "dom0.cpio", linux, dom0_root, [vmlinux, guest], _TREES)
    guest.unlink()
    return Built(hypervisor(stack, cache), vmlinux, target / "dom0.cpio")


def measure(args: argparse.Namespace, logs: Path) -> Results:
    """Start the machine and have Dom0 do it.  Raises ``GuestError``."""
    kind = KINDS[args.stack]
    packages = profile.PACKAGES if args.profile else ()
    with started(
        lambda target: build(target, args.stack, packages),
        logs,
        memory=_MEMORY,
        processors=CLOCKS[args.clock],
    ) as machine:
        command = (
            f"python3 -m tools.lab.bench.dom0{kind.dom0} --turns {args.turns}"
            f" --options {args.options}"
        )
        if args.only:
            command += f" --only {' '.join(args.only)}"
        if args.profile:
            command += f" --profile {' '.join(args.profile)}"
        try:
            suite.follow(machine, command, _SECONDS, sys.stderr.write)
            results = machine.run(f"cat {RESULTS}")
        finally:
            suite.fetch_logs(machine, logs)
        if results.status:
            raise GuestError(f"nothing was measured; logs are in {logs}")
        if args.profile:
            (logs / "profile.txt").write_text(machine.run(f"cat {PROFILE}").output)
    (logs / "results.json").write_text(results.output)
    found: Results = json.loads(results.output)
    return found


def main() -> int:
    """The exit status: 0, or 1 where nothing could be measured."""
    args = arguments()
    return exit_status("bench-lab", lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """Measure, and print it; the exit status.  Raises ``GuestError``."""
    start = time.monotonic()
    logs = LAB / "logs" / f"bench-{args.stack}"
    peer = KINDS[args.stack].peer
    print(f"bench-lab: {STACKS[args.stack].title}; clock: {args.clock}", file=sys.stderr)
    found = measure(args, logs)
    if args.json:
        print(json.dumps(found))
        return 0
    for comparison in found["comparisons"]:
        print(f"{jobs_table(comparison, 'ours', peer)}\n")
    print(costs_table(found, "ours", peer))
    if args.profile:
        print(f"\n{(logs / 'profile.txt').read_text()}")
    print(f"\nbench-lab: {time.monotonic() - start:.0f} s; logs are in {logs}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
