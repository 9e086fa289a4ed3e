"""Columns of plain text, and text that is safe to print whatever a guest wrote."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    Row = dict[str, str]


def printable(text: str) -> str:
    """The text without what moves a terminal's cursor or hides a line."""
    return "".join(char if char.isprintable() else "?" for char in text)


def widths(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, int]:
    """The characters that each column needs, its title included."""
    return {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}


def print_columns(rows: Sequence[Row], columns: Sequence[str], left: Container[str]) -> None:
    """Print a title and a line for each of ``rows``, which are not empty; numbers to the right."""
    needed = widths(rows, columns)
    for row in [{name: name for name in columns}, *rows]:
        cells = (
            row[name].ljust(needed[name]) if name in left else row[name].rjust(needed[name])
            for name in columns
        )
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
