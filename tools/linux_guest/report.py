"""The results as a table for people, as Markdown for the documentation, and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tools.linux_guest.session import Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence


def line(result: Result) -> str:
    """A line of progress; with what was said where it failed."""
    last = result.output.strip().splitlines()[-1:] or [""]
    text = (
        f"  {result.mount.title:32} {result.workload:18} {result.verdict.value:8}"
        f"{result.seconds:6.1f} s  {last[0][:110]}"
    )
    if result.verdict is Verdict.FAILED:
        text += "\n" + "\n".join(f"      | {said}" for said in result.output.splitlines()[-25:])
    return text


def rows(results: Sequence[Result]) -> list[list[str]]:
    """A row per workload and a column per mount, headings first."""
    mounts = list(dict.fromkeys(result.mount for result in results))
    names = list(dict.fromkeys(result.workload for result in results))
    cells = {(result.workload, result.mount): _cell(result) for result in results}
    table = [["program", *(mount.title for mount in mounts)]]
    table += [[name, *(cells.get((name, mount), "-") for mount in mounts)] for name in names]
    return table


def _cell(result: Result) -> str:
    if result.verdict is Verdict.SKIPPED:
        return Verdict.SKIPPED.value
    return f"{result.verdict.value} {result.seconds:.1f} s"


def text(results: Sequence[Result]) -> str:
    """In columns."""
    table = rows(results)
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
    return "\n".join(lines)


def markdown(results: Sequence[Result]) -> str:
    """As a Markdown table."""
    head, *body = rows(results)
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def document(results: Sequence[Result], kernel: str) -> str:
    """As JSON, with all that was said."""
    entries = [
        {
            "workload": result.workload,
            "by": result.mount.by.value,
            "dialect": result.mount.dialect,
            "cache": result.mount.cache,
            "verdict": result.verdict.value,
            "seconds": round(result.seconds, 2),
            "output": result.output,
        }
        for result in results
    ]
    return json.dumps({"kernel": kernel, "results": entries}, indent=1) + "\n"
