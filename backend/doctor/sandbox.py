"""The walls around a worker: which of them hold here, tried by a process that ends in them."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Final, NoReturn

from backend.confinement.plan import plan_for
from backend.confinement.sandbox import Sandbox
from backend.confinement.walls import HOLDS, LANDLOCK, NAMESPACES, SECCOMP
from backend.doctor.finding import ok, problem, warning
from backend.fileserver.root import open_root
from backend.share import Share
from backend.worker.start import prepare_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.doctor.finding import Area, Finding
    from backend.doctor.machine import Machine


_AS_ROOT: Final = "run this, and the service, as root"
_REMEDIES: Final = {
    NAMESPACES: "they want Linux 5.14, glibc 2.36, and a root that is not the kernel's initramfs "
    "itself but a mount (pivot_root(2))",
    LANDLOCK: "it wants Linux 5.19, with landlock in the list of the kernel's parameter lsm=",
    SECCOMP: "on Debian: apt install libseccomp2",
}


def _walls(machine: Machine) -> Iterator[Finding]:
    settings = machine.config.confinement
    if not settings.sandbox:
        yield warning(
            "it is off: a guest that breaks into its worker is root here",
            "remove sandbox = false from the configuration",
        )
    for wall, why in walls().items():
        yield judged(wall, why, required=wall in settings.required_walls)


def judged(wall: str, why: str, *, required: bool) -> Finding:
    """What is to be thought of a wall's state."""
    if why == HOLDS:
        return ok(f"{wall}: holds")
    remedy = _REMEDIES.get(wall, _AS_ROOT) if os.geteuid() == 0 else _AS_ROOT
    if required:
        return problem(f"{wall}: {why}; the configuration requires it", remedy)
    return warning(f"{wall}: {why}", remedy)


def walls() -> dict[str, str]:
    """Each wall: that it holds, or why it does not.

    A child puts them up in a worker's order, and tells through a pipe that it had open before.
    Raises ``OSError``.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        _enter(theirs)
    os.close(theirs)
    with os.fdopen(ours, "rb") as report:
        told = report.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise OSError(f"a process that put them up ended with {status}: {told.decode()}")
    state: dict[str, str] = json.loads(told)
    return state


def _enter(report: int) -> NoReturn:
    """The child's whole life: it never returns into what was copied with it."""
    try:
        prepare_process([report])
        directory = tempfile.gettempdir()
        sandbox = Sandbox(plan_for(Share(path=directory)))
        sandbox.enter()
        open_root(directory)
        os.write(report, json.dumps(sandbox.shut()).encode())
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 -- told to the parent, which says it
        os.write(report, f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(1)


CHECKS: Final[Area] = {"walls": _walls}
