"""The walls by name, as the configuration, the status and the log call them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACES: Final = "namespaces"
CAPABILITIES: Final = "capabilities"
PRIVILEGES: Final = "privileges"
LANDLOCK: Final = "landlock"
LIMITS: Final = "limits"
SECCOMP: Final = "seccomp"

WALLS: Final = (NAMESPACES, CAPABILITIES, PRIVILEGES, LANDLOCK, LIMITS, SECCOMP)
"""In the order in which they are put up: each needs something that a later one takes away."""

HOLDS: Final = "holds"
"""In place of why a wall does not."""


class Unsupported(Exception):  # noqa: N818 -- a fact about the system, not an error
    """A wall that cannot be had here; the text says what is missing."""


class Refused(Exception):  # noqa: N818 -- what the configuration asks for
    """A wall that must hold cannot be put up; the text says which, and why."""


def missing(state: Mapping[str, str]) -> list[str]:
    """The walls that do not hold, each with the reason; one line for all where there is no wall."""
    if not state:
        return ["it is off: a guest that breaks into its worker has all of the worker's rights"]
    return [f"no {wall}: {why}" for wall, why in state.items() if why != HOLDS]
