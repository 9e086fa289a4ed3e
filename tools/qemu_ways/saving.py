"""How a QEMU saves its state: the ways out, each into a file of the share."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Final

from backend.channel.qmp import Refused
from tools.qemu_ways.qemu import DEADLINE, Qemu, WayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.qemu_ways.stand import Stand

_NOBODY: Final = ("Connection refused", "No such file or directory")
"""What QEMU says where it cannot connect."""


def to_path(stand: Stand, qemu: Qemu, name: str) -> None:
    """``xen-save-devices-state`` to a path."""
    with stand.end.path_to_write(name) as path:
        qemu.execute("xen-save-devices-state", filename=path)


def to_fdset(stand: Stand, qemu: Qemu, name: str) -> None:
    """``xen-save-devices-state`` to an fdset."""
    # QEMU truncates what it dups; that the descriptor was not opened so shows it.
    with stand.end.to_write(name, truncate=False) as descriptor:
        qemu.pass_descriptor(descriptor)
        number = qemu.execute("add-fd")["fdset-id"]
        qemu.execute("xen-save-devices-state", filename=f"/dev/fdset/{number}")
        qemu.execute("remove-fd", fdset_id=number)


def to_exec(stand: Stand, qemu: Qemu, name: str) -> None:
    """To a program's input."""
    qemu.migrate(f"exec:{stand.end.writer(name)}")


def to_fd(stand: Stand, qemu: Qemu, name: str) -> None:
    """To a descriptor that it is given."""
    with stand.end.to_write(name) as descriptor:
        qemu.migrate(qemu.take(descriptor))


def to_file(stand: Stand, qemu: Qemu, name: str) -> None:
    """To a file that it opens itself."""
    with stand.end.path_to_write(name) as path:
        qemu.migrate(f"file:{path}")


def to_file_prepared(prepare: Callable[[Qemu], None]) -> Callable[[Stand, Qemu, str], None]:
    """The same, once something is set that both sides need."""

    def save(stand: Stand, qemu: Qemu, name: str) -> None:
        prepare(qemu)
        to_file(stand, qemu, name)

    return save


def to_socket(kind: str) -> Callable[[Stand, Qemu, str], None]:
    """To somebody who listens."""

    def save(stand: Stand, qemu: Qemu, name: str) -> None:
        address = stand.address(kind)
        with stand.end.receiving(name, address):
            _migrate_when_there(qemu, address)

    return save


def _migrate_when_there(qemu: Qemu, address: str) -> None:
    """As soon as somebody listens: QEMU itself tries once only."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return qemu.migrate(address)
        except (WayError, Refused) as error:
            if not any(text in str(error) for text in _NOBODY) or time.monotonic() > deadline:
                raise
        select.select([], [], [], 0.05)
