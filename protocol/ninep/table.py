"""Markdown for the protocol's page: tables, and wire lines that fit the page."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, one row a line; a ``|`` in a cell is kept a character."""
    lines = [_line(head), "|" + "---|" * len(head)]
    lines += [_line([cell.replace("|", "\\|") for cell in row]) for row in rows]
    return "\n".join(lines) + "\n"


def wrapped(line: str) -> list[str]:
    """A wire line, broken between fields where it is longer than the page is wide."""
    return textwrap.wrap(
        line, 96, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
