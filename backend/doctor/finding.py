"""What a check finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from backend.doctor.machine import Machine


class Verdict(Enum):
    """What is to be thought of a finding."""

    OK = "ok"
    WARNING = "warning"
    """Guests are served, but something is missing that one would want."""
    PROBLEM = "problem"
    """Guests are not served, or not as they should be."""
    NOT_HERE = "does not apply"


class Finding(NamedTuple):
    """One line of what is, and one of what to do about it."""

    verdict: Verdict
    what: str
    remedy: str = ""


Check = Callable[[Machine], Iterator[Finding]]
"""Looks at one thing.  Raises ``OSError`` where it cannot even look."""

Area = Mapping[str, Check]
"""Checks by name, in the order in which they are made."""


def ok(what: str) -> Finding:
    """As it should be."""
    return Finding(Verdict.OK, what)


def not_here(why: str) -> Finding:
    """Nothing to look at, or no need to."""
    return Finding(Verdict.NOT_HERE, why)


def warning(what: str, remedy: str) -> Finding:
    """Served all the same."""
    return Finding(Verdict.WARNING, what, remedy)


def problem(what: str, remedy: str) -> Finding:
    """Not served."""
    return Finding(Verdict.PROBLEM, what, remedy)
