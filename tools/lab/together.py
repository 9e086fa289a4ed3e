"""Several machines at the same time: what each says, line by line, and what all have found."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

from tools.lab.suite import Outcome
from tools.linux_guest.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Say = Callable[[str], object]
Run = Callable[["Path", Say], "list[Outcome]"]
"""Runs tests in a machine, whose logs it puts into a folder, and says how far they are."""


def together(runs: Sequence[Run], logs: Path, say: Say) -> list[Outcome]:
    """All of them, with their logs in ``logs``, in a folder each.

    A machine that fails is a failed outcome: what the others have found is not lost.
    """
    with ThreadPoolExecutor(len(runs)) as pool:
        return [
            outcome
            for found in pool.map(
                lambda number, run: _ended(run, number, logs, say), count(1), runs
            )
            for outcome in found
        ]


def _ended(run: Run, number: int, logs: Path, say: Say) -> list[Outcome]:
    try:
        return run(logs / str(number), Lines(f"{number}| ", say))
    except GuestError as error:
        return [Outcome(f"machine {number}", "FAILED", 0.0, str(error))]


class Lines:
    """Says what it is told by whole lines, each behind a prefix: another's may come between."""

    def __init__(self, prefix: str, say: Say) -> None:
        self._prefix, self._say = prefix, say
        self._rest = ""

    def __call__(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        self._say("".join(f"{self._prefix}{line}\n" for line in lines))
