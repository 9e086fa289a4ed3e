"""``make interop-qemu``: all ways of QEMU's state and all chardevs, at both ends of a guest."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from tools.linux_guest.cache import Cache
from tools.linux_guest.errors import exit_status
from tools.linux_guest.programs import require
from tools.qemu_ways import table
from tools.qemu_ways.fronted import frontend
from tools.qemu_ways.mounted import guest
from tools.qemu_ways.qemu import FAULTS
from tools.qemu_ways.shares import ENTRIES
from tools.qemu_ways.table import ENDS, PAGE, Column
from tools.qemu_ways.versions import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from tools.qemu_ways.shares import Entry
    from tools.qemu_ways.versions import Version

LOGS: Final = Path(__file__).resolve().parent.parent.parent / "build" / "qemu-ways"

Outcomes: TypeAlias = dict[tuple[str, Column], str]


class Bed(Protocol):
    """A guest with a QEMU in it."""

    def outcome(self, entry: Entry) -> str:
        """What came of an entry, in words for the table."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="make interop-qemu",
        description="Save, restore and talk to real QEMUs through a share, in every way they have.",
        epilog="example: make interop-qemu ARGS='--qemu 7.2 --end mount --only fdset'",
    )
    names = [version.name for version in VERSIONS]
    parser.add_argument("--qemu", choices=names, help="default: all")
    parser.add_argument("--end", choices=ENDS, help="default: both")
    known = [entry.name for entry in ENTRIES]
    parser.add_argument(
        "--only", metavar="NAME", choices=known, action="append", help=f"of: {' '.join(known)}"
    )
    parser.add_argument(
        "--write", action="store_true", help=f"write docs/{PAGE.name} anew (default: compare it)"
    )
    return parser.parse_args()


def bed(version: Version, end: str) -> AbstractContextManager[Bed]:
    """The bed of a column.  Raises ``GuestError``."""
    if end == "frontend":
        return frontend(version.command(Cache()))
    return guest(version, LOGS / version.name)


def column_of(version: Version, end: str, entries: Sequence[Entry]) -> Outcomes:
    """The outcomes of a column; what was not to be is one that begins with ``FAILED``."""
    column, outcomes = Column(version.name, end), {}
    with bed(version, end) as running:
        for entry in entries:
            start = time.monotonic()
            try:
                outcome = running.outcome(entry)
            except FAULTS as error:
                outcome = f"FAILED: {type(error).__name__}: {error}"
            outcomes[entry.name, column] = outcome
            took = time.monotonic() - start
            print(f"  {column.title:20} {entry.name:12} {took:6.1f} s  {outcome}", flush=True)
    return outcomes


def run(args: argparse.Namespace) -> int:
    """All that is asked for; the exit status.  Raises ``GuestError``."""
    require("qemu-system-x86_64", "mmdebstrap")
    entries = [entry for entry in ENTRIES if not args.only or entry.name in args.only]
    outcomes: Outcomes = {}
    for version in VERSIONS:
        for end in ENDS:
            if args.qemu in (None, version.name) and args.end in (None, end):
                outcomes |= column_of(version, end, entries)
    page = PAGE.read_text(encoding="utf-8")
    if args.write:
        PAGE.write_text(table.written(page, table.read(page) | outcomes), encoding="utf-8")
    return verdict(outcomes, table.read(page) | (outcomes if args.write else {}))


def verdict(outcomes: Outcomes, told: Outcomes) -> int:
    """Whether all is well, and as the page tells it; the exit status."""
    failed = [key for key, outcome in outcomes.items() if outcome.startswith("FAILED")]
    other = [key for key, outcome in outcomes.items() if told.get(key) != outcome]
    for name, column in other:
        print(f"docs/{PAGE.name} tells of {name}, {column.title}: {told.get((name, column))}")
    print(f"interop-qemu: {len(outcomes)} outcomes, {len(failed)} failed, {len(other)} not as told")
    return 1 if failed or other or not outcomes else 0


if __name__ == "__main__":
    args = arguments()
    sys.exit(exit_status("interop-qemu", lambda: run(args)))
