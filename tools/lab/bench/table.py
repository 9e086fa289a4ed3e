"""What was measured, for people: medians over the turns, and their spread."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from tools.lab.bench.jobs import JOBS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.lab.bench.results import Comparison, Results, Turn

KIB: Final = 1024


class Row(NamedTuple):
    """A job on both shares: medians over the turns, ``None`` where there was none."""

    title: str
    ours: float | None
    """Milliseconds for one operation."""
    theirs: float | None
    ratio: Ratio | None
    """How many times faster ours is."""
    our_dom0: float | None
    """Milliseconds that Dom0 ran for one operation."""
    their_dom0: float | None
    dom0_ratio: Ratio | None
    lost: str
    """What became of theirs where it has no figures."""


class Ratio(NamedTuple):
    """Of theirs to ours, by turns."""

    median: float
    lowest: float
    highest: float


def rows(comparison: Comparison) -> list[Row]:
    """The jobs that were done or tried, in the order of ``JOBS``."""
    turns, lost = comparison["turns"], comparison["lost"]
    return [
        _row(JOBS[name].title, [turn for turn in turns if turn["job"] == name], lost.get(name, ""))
        for name in JOBS
        if name in lost or any(turn["job"] == name for turn in turns)
    ]


def _row(title: str, turns: list[Turn], lost: str) -> Row:
    ours = [turn for turn in turns if turn["peer"] == "ours"]
    # Of what it did not do to the end, nothing counts.
    theirs = [turn for turn in turns if turn["peer"] == "theirs" and not lost]
    return Row(
        title,
        _milliseconds(ours, _seconds),
        _milliseconds(theirs, _seconds),
        _ratio(ours, theirs, _seconds),
        _milliseconds(ours, _dom0),
        _milliseconds(theirs, _dom0),
        _ratio(ours, theirs, _dom0),
        lost,
    )


def _seconds(turn: Turn) -> float:
    return turn["seconds"]


def _dom0(turn: Turn) -> float:
    return turn["dom0"]


def _milliseconds(turns: list[Turn], of: Callable[[Turn], float]) -> float | None:
    if not turns:
        return None
    return 1000 * median(of(turn) / turn["operations"] for turn in turns)


def _ratio(ours: list[Turn], theirs: list[Turn], of: Callable[[Turn], float]) -> Ratio | None:
    if not ours or not theirs:
        return None
    found = [of(their) / of(our) for our, their in zip(ours, theirs, strict=True)]
    return Ratio(median(found), min(found), max(found))


def jobs_table(comparison: Comparison, ours: str, theirs: str) -> str:
    """Rows in columns, below what they are; what there is to say of them comes last."""
    head = f"{'milliseconds for one':<24}{ours:>9}{theirs:>11}   {'times faster':<22}"
    lines = [comparison["title"], f"{head}{'Dom0: ' + ours:>10}{theirs:>11}   times less"]
    for row in rows(comparison):
        line = (
            f"{row.title:<24}{_number(row.ours):>9}{row.lost or _number(row.theirs):>11}"
            f"   {_spread(row.ratio):<22}"
            f"{_number(row.our_dom0):>10}{row.lost or _number(row.their_dom0):>11}"
            f"   {_spread(row.dom0_ratio)}"
        )
        lines.append(line)
    return "\n".join([*lines, *comparison["notes"]])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _spread(ratio: Ratio | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio.median:.2f} ({ratio.lowest:.2f} to {ratio.highest:.2f})"


def costs_table(results: Results, ours: str, theirs: str) -> str:
    """Memory, and time until connected."""
    our, their = results["costs"]["ours"], results["costs"]["theirs"]
    together = [f"{'before the first request':<48}{ours:>14}{theirs:>14}"]
    for title, mine, other in (
        ("PSS of the guest's process, MiB", _mib(our["pss"]), _mib(their["pss"])),
        ("RSS of the guest's process, MiB", _mib(our["rss"]), _mib(their["rss"])),
        (
            "all PSS that one more device takes, MiB",
            _mib(our["next_device"]),
            _mib(their["next_device"]),
        ),
        ("PSS of what all guests share, MiB", _mib(our["shared"]), _mib(their["shared"])),
        ("nodes to InitWait, s", median(our["to_offer"]), median(their["to_offer"])),
        ("rings to Connected, s", median(our["to_connect"]), median(their["to_connect"])),
    ):
        together.append(f"{title:<48}{_number(mine):>14}{_number(other):>14}")
    return "\n".join(together)


def _mib(kib: int | None) -> float | None:
    return None if kib is None else kib / KIB
