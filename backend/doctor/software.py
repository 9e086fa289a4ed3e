"""Software that is not ours: Python, its packages, and libraries that are loaded by soname."""

from __future__ import annotations

import platform
import re
from importlib import metadata
from typing import TYPE_CHECKING, Final

from backend.confinement import seccomp
from backend.confinement.walls import Unsupported
from backend.doctor.finding import not_here, ok, problem, warning
from backend.platform.xen.libraries import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.doctor.finding import Area, Finding
    from backend.doctor.machine import Machine

FLOORS: Final = {"cffi": "1.15.1", "construct": "2.10.68", "pyxs": "0.4.1", "rich": "13.3"}
"""The oldest versions that are known to work: pyproject.toml's."""

_LIBRARIES: Final = ("gnttab", "evtchn", "toollog")


def _python(_machine: Machine) -> Iterator[Finding]:
    yield ok(f"Python {platform.python_version()}")


def _packages(_machine: Machine) -> Iterator[Finding]:
    yield from (package(name, floor) for name, floor in FLOORS.items())


def package(name: str, floor: str) -> Finding:
    """Whether a Python package is there, and new enough."""
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return problem(f"{name} is not installed", f"on Debian: apt install python3-{name}")
    if release(found) < release(floor):
        return problem(f"{name} {found} is older than {floor}", f"update it to {floor} or later")
    return ok(f"{name} {found}")


def release(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: 1.15.1rc2 counts as 1.15.1."""
    match = re.match(r"[0-9.]*[0-9]", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def _libraries(machine: Machine) -> Iterator[Finding]:
    if not machine.wants_xen:
        yield not_here("Xen's libraries are for platform xen")
        return
    yield from map(library, _LIBRARIES)


def library(name: str) -> Finding:
    """Whether one of Xen's libraries can be loaded."""
    try:
        load(name)
    except OSError as error:
        what, _, remedy = str(error.strerror).partition("; ")
        return problem(what, remedy)
    return ok(f"libxen{name}.so.1 is there")


def _seccomp(_machine: Machine) -> Iterator[Finding]:
    if isinstance(seccomp.PROGRAM, Unsupported):
        yield warning(
            f"no filter of system calls: {seccomp.PROGRAM}", "on Debian: apt install libseccomp2"
        )
    else:
        yield ok("libseccomp makes the filter of system calls")


CHECKS: Final[Area] = {
    "python": _python,
    "python packages": _packages,
    "Xen's libraries": _libraries,
    "libseccomp": _seccomp,
}
