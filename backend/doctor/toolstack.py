"""What libxl starts for ``p9`` devices of ``type=xen_9pfsd``, and who serves beside us."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from backend.doctor.finding import not_here, ok, problem, warning
from backend.hook.daemon import daemons
from backend.hook.places import NAME, Hook, state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.doctor.finding import Area, Finding
    from backend.doctor.machine import Machine


def _hook(machine: Machine) -> Iterator[Finding]:
    found = state(root=str(machine.root))
    if not found:
        yield not_here("no libxl is found here; install-hook --libexec DIR names another place")
    for directory, hook in found.items():
        yield _judged(os.path.join(directory, NAME), hook)


def _judged(path: str, hook: Hook) -> Finding:
    if hook is Hook.OLD:
        return not_here(f"{path}: libxl starts no backend before Xen 4.19; attach shares instead")
    if hook is Hook.THEIRS:
        return warning(
            f"{path} is Xen's own: libxl starts it when nobody serves",
            "to have libxl start this program: xen-fileproxy install-hook",
        )
    if hook is Hook.NONE:
        return warning(
            f"{path} is not there: libxl can start no backend",
            "to have libxl start this program: xen-fileproxy install-hook",
        )
    if not os.access(path, os.X_OK):
        return problem(
            f"{path} leads to a program that is not there: libxl can start no backend",
            "install xen-fileproxy again, or: xen-fileproxy remove-hook",
        )
    return ok(f"{path}: libxl starts this program")


def _rivals(machine: Machine) -> Iterator[Finding]:
    others = daemons(str(machine.path("/proc")))
    if not others:
        yield ok("no xen-9pfsd runs")
    for pid in others:
        yield problem(
            f"xen-9pfsd (process {pid}) serves 9pfs devices: two cannot",
            "xen-fileproxy install-hook ends it and takes its place",
        )


CHECKS: Final[Area] = {"libxl": _hook, "other backends": _rivals}
