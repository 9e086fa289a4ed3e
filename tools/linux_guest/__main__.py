"""``make interop``: boots a Linux guest, runs programs on the share, and says which work."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.linux_guest import report
from tools.linux_guest.bed import bed
from tools.linux_guest.cache import Cache
from tools.linux_guest.errors import GuestError, exit_status
from tools.linux_guest.kernels import SUITE_OF, kernel
from tools.linux_guest.mounts import CACHES, DIALECTS, By, Mount, mounts
from tools.linux_guest.programs import require
from tools.linux_guest.root import root_archive
from tools.linux_guest.session import Result, Session, Verdict
from tools.linux_guest.workloads import WORKLOADS, chosen

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGS: Final = Path(__file__).resolve().parent.parent.parent / "build" / "interop"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="make interop",
        description="Run real programs on the share, in a Linux guest in QEMU.",
        epilog="example: make interop ARGS='--only fio --only git --dialect 9p2000.L --qemu'",
    )
    parser.add_argument("--kernel", choices=list(SUITE_OF), default="6.1", help="default: 6.1")
    parser.add_argument(
        "--only", metavar="NAME", action="append", default=[], help="this workload; may be repeated"
    )
    parser.add_argument("--dialect", choices=DIALECTS, help="default: both")
    parser.add_argument("--cache", choices=CACHES, help="Linux's cache mode; default: both")
    parser.add_argument(
        "--qemu",
        action="store_true",
        help="run the same on QEMU's own 9p server, to tell our faults from Linux's limits",
    )
    parser.add_argument(
        "--no-us", action="store_true", help="leave our server out; with --qemu, QEMU's alone"
    )
    parser.add_argument(
        "--trace", action="store_true", help=f"capture all messages in {LOGS.name}/trace.pcap"
    )
    parser.add_argument("--keep", action="store_true", help="keep the exported directories")
    parser.add_argument("--list", action="store_true", help="name the workloads")
    return parser.parse_args()


def run(args: argparse.Namespace) -> list[Result]:
    """The whole of it; what came of it.  Raises ``GuestError``."""
    workloads = chosen(args.only)
    require("qemu-system-x86_64")
    cache = Cache()
    linux, root = kernel(args.kernel, cache), root_archive(cache)
    options = ["--trace", str(LOGS / "trace.pcap")] if args.trace else []
    results: list[Result] = []

    def add(result: Result) -> None:
        results.append(result)
        print(report.line(result), flush=True)

    with contextlib.ExitStack() as stack:
        stack.enter_context(alone())
        shutil.rmtree(LOGS, ignore_errors=True)
        LOGS.mkdir()
        exports = {by: LOGS / "exports" / by.value for by in By}
        if not args.keep:
            stack.callback(shutil.rmtree, LOGS / "exports")
        for export in exports.values():
            export.mkdir(parents=True)
        machine, places = stack.enter_context(bed(linux, root, LOGS, exports, options))
        session = Session(machine, places, add)
        try:
            for mount in wanted_mounts(args):
                session.run(mount, workloads)
        finally:
            (LOGS / "results.json").write_text(report.document(results, machine.release))
            if results:
                (LOGS / "results.md").write_text(report.markdown(results))
    return results


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """No other run in this folder, whose end would remove what this one exports."""
    LOGS.parent.mkdir(exist_ok=True)
    with LOGS.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GuestError(f"another run is under way in {LOGS}; wait for its end") from None
        yield


def wanted_mounts(args: argparse.Namespace) -> list[Mount]:
    """What the options leave of all combinations."""
    by = (() if args.no_us else (By.US,)) + ((By.QEMU,) if args.qemu else ())
    dialects = (args.dialect,) if args.dialect else DIALECTS
    caches = (args.cache,) if args.cache else CACHES
    return mounts(by, dialects, caches)


def main() -> int:
    """The exit status: 0 all is well, 1 something failed, 2 wrong usage."""
    args = arguments()
    if args.list:
        print("\n".join(workload.name for workload in WORKLOADS))
        return 0
    return exit_status("interop", lambda: run_and_report(args))


def run_and_report(args: argparse.Namespace) -> int:
    """Do it, print what came of it; the exit status.  Raises ``GuestError``."""
    start = time.monotonic()
    results = run(args)
    failed = sum(result.verdict is Verdict.FAILED for result in results)
    print(f"\n{report.text(results)}\n")
    took = f"{time.monotonic() - start:.0f} s; logs are in {LOGS}"
    print(f"interop: {len(results) - failed} passed, {failed} failed; {took}")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
