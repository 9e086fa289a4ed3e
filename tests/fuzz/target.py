"""What a fuzz target is, and the list of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS = Path(__file__).parent / "seeds"


class Target(NamedTuple):
    """Something that is run on bytes; whatever it raises is a finding."""

    name: str
    invariant: str
    """What holds for every byte string, in a sentence."""
    run: Callable[[bytes], None]

    def seeds(self) -> list[Path]:
        """The committed inputs: where a fuzzer starts, and what once was a finding."""
        return sorted((SEEDS / self.name).iterdir())


def load(name: str) -> Target:
    """The target of this name.  Raises ``KeyError``."""
    return {target.name: target for target in everything()}[name]


def everything() -> list[Target]:
    """All targets; imported here, so that a fuzzer can instrument what they import."""
    from tests.fuzz.targets import codec, control, faults, nodes, ring, session

    return [
        *(codec.TARGET, control.TARGET, faults.TARGET, nodes.TARGET, ring.TARGET),
        session.TARGET,
    ]
