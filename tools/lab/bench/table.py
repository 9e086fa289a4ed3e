"""From what was noted in Dom0 to the tables that are read."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from tools.lab.bench.jobs import JOBS

if TYPE_CHECKING:
    from tools.lab.bench.dom0 import Results, Turn

KIB: Final = 1024
_LEAST_CPU: Final = 0.2
"""Seconds: twenty ticks of the clock by which Linux counts."""


class Row(NamedTuple):
    """A job on both shares: medians over the turns."""

    title: str
    ours: float
    """Milliseconds for one operation."""
    theirs: float
    ratio: float
    """How many times faster ours is: the median of the turns' ratios."""
    lowest: float
    highest: float
    our_cpu: float | None
    """Milliseconds of our process's CPU for one operation; ``None``: too few ticks to say."""
    their_cpu: float | None


def rows(turns: list[Turn]) -> list[Row]:
    """The jobs that were done, in the order of ``JOBS``."""
    return [
        _row(JOBS[name].title, [turn for turn in turns if turn["job"] == name])
        for name in JOBS
        if any(turn["job"] == name for turn in turns)
    ]


def _row(title: str, turns: list[Turn]) -> Row:
    ours = [turn for turn in turns if turn["peer"] == "ours"]
    theirs = [turn for turn in turns if turn["peer"] == "theirs"]
    ratios = [their["seconds"] / our["seconds"] for our, their in zip(ours, theirs, strict=True)]
    return Row(
        title,
        _milliseconds(ours),
        _milliseconds(theirs),
        median(ratios),
        min(ratios),
        max(ratios),
        _cpu(ours),
        _cpu(theirs),
    )


def _milliseconds(turns: list[Turn]) -> float:
    return 1000 * median(turn["seconds"] / turn["operations"] for turn in turns)


def _cpu(turns: list[Turn]) -> float | None:
    # A tick is too long for a turn, so all of them together.
    seconds = sum(turn["cpu"] for turn in turns)
    if seconds < _LEAST_CPU:
        return None
    return 1000 * seconds / sum(turn["operations"] for turn in turns)


def jobs_table(found: list[Row], ours: str, theirs: str) -> str:
    """Rows in columns."""
    head = f"{'milliseconds for one':<24}{ours:>10}{theirs:>10}   {'times faster':<22}"
    lines = [f"{head}{'CPU ' + ours:>10}{theirs:>10}"]
    for row in found:
        spread = f"{row.ratio:.2f} ({row.lowest:.2f} to {row.highest:.2f})"
        lines.append(
            f"{row.title:<24}{row.ours:>10.2f}{row.theirs:>10.2f}   {spread:<22}"
            f"{_number(row.our_cpu):>10}{_number(row.their_cpu):>10}"
        )
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def costs_table(results: Results, ours: str, theirs: str) -> str:
    """Memory, and time until connected."""
    our, their = results["costs"]["ours"], results["costs"]["theirs"]
    together = [f"{'before the first request':<48}{ours:>14}{theirs:>14}"]
    for title, mine, other in (
        ("PSS of the guest's process, MiB", our["pss"] / KIB, their["pss"] / KIB),
        ("RSS of the guest's process, MiB", our["rss"] / KIB, their["rss"] / KIB),
        ("all PSS that one more device takes, MiB", results["next_device"] / KIB, None),
        ("PSS of what all guests share, MiB", results["shared"] / KIB, 0),
        ("nodes to InitWait, s", median(our["to_offer"]), median(their["to_offer"])),
        ("rings to Connected, s", median(our["to_connect"]), median(their["to_connect"])),
    ):
        together.append(f"{title:<48}{_number(mine):>14}{_number(other):>14}")
    return "\n".join(together)
