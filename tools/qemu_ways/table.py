"""The tables of ``docs/qemu.md``: made of outcomes, and read again to be compared with others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tools.qemu_ways.chardevs import CHARDEVS
from tools.qemu_ways.failures import FAILURES
from tools.qemu_ways.states import WAYS
from tools.qemu_ways.versions import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tools.qemu_ways.shares import Entry

PAGE: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "qemu.md"
ENDS: Final = ("mount", "frontend")
TABLES: Final[dict[str, Sequence[Entry]]] = {
    "ways": WAYS,
    "chardevs": CHARDEVS,
    "failures": FAILURES,
}


class Column(NamedTuple):
    """A QEMU at an end of a guest."""

    version: str
    end: str

    @property
    def title(self) -> str:
        """As the page has it."""
        return f"QEMU {self.version}, {self.end}"


COLUMNS: Final = tuple(Column(version.name, end) for version in VERSIONS for end in ENDS)


def markdown(outcomes: Mapping[tuple[str, Column], str], table: str) -> str:
    """One of ``TABLES``; what has no outcome is ``?``."""
    rows = [[table.rstrip("s"), *(column.title for column in COLUMNS)]]
    rows.append(["---"] * len(rows[0]))
    for entry in TABLES[table]:
        cells = (outcomes.get((entry.name, column), "?") for column in COLUMNS)
        rows.append([entry.title, *cells])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def written(page: str, outcomes: Mapping[tuple[str, Column], str]) -> str:
    """The page with these outcomes in its tables."""
    for table in TABLES:
        before, _, after = _parts(page, table)
        page = f"{before}{markdown(outcomes, table)}{after}"
    return page


def read(page: str) -> dict[tuple[str, Column], str]:
    """The outcomes that a page tells.  Raises ``ValueError`` where it is not as we write it."""
    outcomes = {}
    for table in TABLES:
        _, lines, _ = _parts(page, table)
        for entry, line in zip(TABLES[table], lines.splitlines()[2:], strict=True):
            title, *cells = line.strip("| ").split(" | ")
            if title != entry.title:
                raise ValueError(f"{title}: should be {entry.title}")
            for column, told in zip(COLUMNS, cells, strict=True):
                outcomes[entry.name, column] = told
    return outcomes


def _parts(page: str, table: str) -> tuple[str, str, str]:
    """What comes before a table's first line, its lines, and what comes after."""
    before, head, rest = page.partition(f"<!-- table: {table} -->\n")
    lines, end, after = rest.partition("<!-- end -->")
    if not (head and end):
        raise ValueError(f"the page has no table {table}")
    return before + head, lines, end + after
