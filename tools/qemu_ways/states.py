"""The ways of QEMU's state: one QEMU saves it, the next loads it, and both are compared.

When the second has loaded, its memory and the state of its devices are byte for byte the first's.
Everything is saved over an older file that is longer, so a tail that stays would be found as well.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tools.qemu_ways import loading, saving
from tools.qemu_ways.qemu import MEMORY, Qemu, WayError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from tools.qemu_ways.stand import Stand

OLDER: Final = MEMORY + (8 << 20)
"""Bytes of the file that is saved over: more than any of the states has."""


@dataclass(frozen=True)
class Way:
    """One way out, with the way in that belongs to it."""

    name: str
    """As the file of the share is called."""
    title: str
    save: Callable[[Stand, Qemu, str], None]
    load: Callable[[Stand, str], AbstractContextManager[Qemu]]
    since: tuple[int, int] = (0, 0)
    """The version of QEMU that brought it."""
    memory: bool = True
    """Whether the state has the memory in it."""
    unfit: str = ""
    """Why a frontend, which gives QEMU a pipe, cannot serve it; nothing if it can."""

    def not_for(self, version: tuple[int, int], end: str) -> str:
        """Why there is nothing to try, in words for the table; nothing if there is."""
        if version < self.since:
            return f"from {self.since[0]}.{self.since[1]}"
        return self.unfit if end == "frontend" else ""


def try_way(way: Way, stand: Stand) -> dict[str, Any]:
    """Save, load, compare; the size and SHA-256 of the file as this end reads it.

    Raises ``WayError``, ``Refused``, ``OSError``.
    """
    with stand.first() as first:
        devices, memory = first.devices(stand.scratch), first.memory(stand.scratch)
        way.save(stand, first, way.name)
        first.quit()
    with stand.end.to_read(way.name) as descriptor, open(descriptor, "rb", closefd=False) as file:
        content = file.read()
    if not way.memory and content != devices:
        raise WayError(f"the file is not the state: {len(content)} bytes, not {len(devices)}")
    with way.load(stand, way.name) as second:
        if second.status not in {"prelaunch", "paused"}:
            raise WayError(f"query-status of the second QEMU: {second.status}")
        if second.devices(stand.scratch) != devices:
            raise WayError("the second QEMU's devices have another state than the first one's")
        if way.memory and second.memory(stand.scratch) != memory:
            raise WayError("the second QEMU's memory is not the first one's")
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _capable(qemu: Qemu, *names: str) -> None:
    wanted = [{"capability": name, "state": True} for name in names]
    qemu.execute("migrate-set-capabilities", capabilities=wanted)


def _mapped(qemu: Qemu) -> None:
    _capable(qemu, "mapped-ram")


def _direct(qemu: Qemu) -> None:
    """Several descriptors on the file, of which those for the memory are O_DIRECT."""
    _capable(qemu, "mapped-ram", "multifd")
    qemu.execute("migrate-set-parameters", direct_io=True, multifd_channels=2)


_SEEKS: Final = "needs a file: QEMU seeks in it"
_TRUNCATES: Final = "needs a file: QEMU truncates it"

WAYS: Final[Sequence[Way]] = (
    Way(
        "path",
        "`xen-save-devices-state` to a path; `-incoming fd:`",
        *(saving.to_path, loading.devices_from_fd),
        memory=False,
    ),
    Way(
        "fdset",
        "`xen-save-devices-state` to an fdset; `-incoming exec:`",
        *(saving.to_fdset, loading.devices_from_exec),
        memory=False,
        unfit=_TRUNCATES,
    ),
    Way("exec", "`migrate` to `exec:`; `-incoming exec:`", saving.to_exec, loading.from_exec),
    Way("fd", "`migrate` to `fd:`; `-incoming fd:`", saving.to_fd, loading.from_fd),
    *(
        Way(
            kind,
            f"`migrate` to `{kind}:`; `-incoming {kind}:`",
            *(saving.to_socket(kind), loading.from_socket(kind)),
        )
        for kind in ("unix", "tcp")
    ),
    Way(
        "file",
        "`migrate` to `file:`; `-incoming file:`",
        *(saving.to_file, loading.from_file),
        since=(8, 2),
        unfit=_TRUNCATES,
    ),
    Way(
        "exec-file",
        "`migrate` to `exec:`; `-incoming file:`",
        *(saving.to_exec, loading.from_file),
        since=(8, 2),
    ),
    Way(
        "mapped",
        "`file:` with `mapped-ram`, both ways",
        *(saving.to_file_prepared(_mapped), loading.from_file_prepared(_mapped)),
        since=(9, 0),
        unfit=_SEEKS,
    ),
    Way(
        "direct",
        "`file:` with `mapped-ram`, `multifd` and `direct-io`, both ways",
        *(saving.to_file_prepared(_direct), loading.from_file_prepared(_direct)),
        since=(9, 1),
        unfit=_SEEKS,
    ),
)
