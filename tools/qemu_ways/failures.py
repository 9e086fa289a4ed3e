"""What becomes of a save that fails: what is said of it, and what Dom0 has under the name."""

from __future__ import annotations

import select
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backend.channel.qmp import Refused
from tools.qemu_ways.qemu import WayError
from tools.qemu_ways.stand import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tools.qemu_ways.qemu import Qemu
    from tools.qemu_ways.stand import Stand

_PATTERN: Final = 12 << 20
"""More than all pipes and buffers on the way hold, so that QEMU is told while it still writes."""

SPARE: Final = "spare"
"""The full share's file that makes some room when it is removed, and less than a state takes."""

_SLOWLY: Final = 1
"""Bytes per second: more than the first piece of the state is never sent."""


@dataclass(frozen=True)
class Failure:
    """One of them."""

    name: str
    """The file that is saved over, of the usual share or, with ``full``, of the full one."""
    title: str
    run: Callable[[Stand, str], str]
    """Does it, and returns what was said.  Raises ``Gone`` where nothing is left that could say."""
    full: bool = False
    fatal: bool = False
    """Whether the guest ends with it."""

    def not_for(self, version: tuple[int, int], end: str) -> str:
        """Nothing: all of this can happen everywhere."""
        del version, end
        return ""


def found(path: Path, before: bytes) -> str:
    """What Dom0 has where ``before`` was, in words for the table."""
    return "the older file" if path.read_bytes() == before else "a part of the state"


def _full_path(stand: Stand, name: str) -> str:
    with stand.first() as qemu:
        qemu.execute("cont")
        said = ["no error"]
        try:
            with stand.full.path_to_write(name) as path:
                _noting(said, lambda: qemu.execute("xen-save-devices-state", filename=path))
        except WayError as error:
            said = [str(error)]  # the frontend's, which knows better
        return _told(said, qemu)


def _full_descriptor(stand: Stand, name: str) -> str:
    stand.full.remove(SPARE)  # so that the save begins
    with stand.first(_PATTERN) as qemu:
        qemu.execute("cont")
        said = ["no error"]
        try:
            with stand.full.to_write(name) as descriptor:
                address = qemu.take(descriptor)
                _noting(said, lambda: qemu.migrate(address))
        except WayError as error:
            said = [*said, str(error)]
        return _told(said, qemu)


def _noting(said: list[str], save: Callable[[], None]) -> None:
    """What QEMU says of it; then whoever stands between it and the share may end, and say more."""
    try:
        save()
    except (Refused, WayError) as error:
        said[:] = [str(error)]


def _told(said: Sequence[str], qemu: Qemu) -> str:
    errors = "; ".join(f"`{text.rpartition(': status 1: ')[2]}`" for text in said)
    return f"{errors}; QEMU is {qemu.status}"


def _killed(stand: Stand, name: str) -> str:
    with stand.first() as qemu, stand.end.to_write(name) as descriptor:
        _begin(qemu, descriptor)
        qemu.kill()
    return ""


def _gone(stand: Stand, name: str) -> str:
    with stand.first() as qemu, stand.end.to_write(name) as descriptor:
        _begin(qemu, descriptor)
        stand.end.end_guest(CHANNEL)
    raise WayError("the guest lives on")


def _begin(qemu: Qemu, descriptor: int) -> None:
    """Save until something has been sent, and not all."""
    qemu.execute("migrate-set-parameters", max_bandwidth=_SLOWLY)
    qemu.execute("migrate", uri=qemu.take(descriptor))
    while not qemu.execute("query-migrate").get("ram", {}).get("transferred"):
        select.select([], [], [], 0.05)


FAILURES: Final[Sequence[Failure]] = (
    Failure("full-path", "full share, `xen-save-devices-state` to a path", _full_path, full=True),
    Failure("full-fd", "full share, `migrate` to `fd:`", _full_descriptor, full=True),
    Failure("killed", "QEMU is killed while it saves to `fd:`", _killed),
    Failure("gone", "the guest dies while its QEMU saves to `fd:`", _gone, fatal=True),
)
"""A fatal one is the last."""
