"""What is measured, as Dom0 writes it down and the host prints it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypedDict

RESULTS: Final = Path("/run/bench.json")
PROFILE: Final = Path("/run/profile.txt")


class Turn(TypedDict):
    """One job, done once on one share."""

    job: str
    peer: str
    seconds: float
    operations: int
    dom0: float
    """Seconds that Dom0 ran, by Xen's clock: the backend, its kernel, and next to nothing else."""


class Comparison(TypedDict):
    """The jobs, done in one way."""

    title: str
    turns: list[Turn]
    lost: dict[str, str]
    """By job: what became of the other backend, where there is nothing to compare with."""
    notes: list[str]
    """More about that."""


class Cost(TypedDict):
    """What a backend takes before its first request."""

    to_offer: list[float]
    to_connect: list[float]
    pss: int | None
    """KiB of the processes that serve one guest and no other, if there are such."""
    rss: int | None
    shared: int
    """KiB of PSS of those that all guests have in common."""
    next_device: int | None
    """KiB of PSS that all its processes together take more for one more device, where that can be
    given to a running guest."""


class Results(TypedDict):
    """Everything."""

    comparisons: list[Comparison]
    costs: dict[str, Cost]
