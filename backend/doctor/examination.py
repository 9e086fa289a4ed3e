"""All checks of all areas, in an order in which what comes first explains what comes later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from backend.doctor import exports, sandbox, service, software, store, toolstack, xen
from backend.doctor.finding import Finding, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.doctor.finding import Area
    from backend.doctor.machine import Machine

# The sandbox is tried by a fork, so it comes before XenStore, whose connection has a thread.
AREAS: Final[dict[str, Area]] = {
    "Xen": xen.CHECKS,
    "software": software.CHECKS,
    "sandbox": sandbox.CHECKS,
    "XenStore": store.CHECKS,
    "toolstack": toolstack.CHECKS,
    "service": service.CHECKS,
    "exports": exports.CHECKS,
}


class Examined(NamedTuple):
    """A finding, and the check that made it."""

    area: str
    check: str
    finding: Finding


def examine(machine: Machine) -> Iterator[Examined]:
    """Make all checks."""
    for area, checks in AREAS.items():
        for name, check in checks.items():
            try:
                for finding in check(machine):
                    yield Examined(area, name, finding)
            except OSError as error:
                what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
                yield Examined(
                    area, name, problem(f"cannot be looked at: {what}", "run this as root")
                )
