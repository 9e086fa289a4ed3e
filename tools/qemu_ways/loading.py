"""How a QEMU loads a state: the ways in, each from a file of the share."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tools.qemu_ways.qemu import Qemu
    from tools.qemu_ways.stand import Stand

_DEVICES_ONLY: Final = ("-global", "migration.send-configuration=off")
"""``xen-save-devices-state`` writes no configuration section, so none must be waited for."""


def from_exec(stand: Stand, name: str, *options: str) -> AbstractContextManager[Qemu]:
    """From a program's output."""
    return _loaded(stand.second(*options, "-incoming", f"exec:{stand.end.reader(name)}"))


@contextlib.contextmanager
def _loaded(qemu: Qemu) -> Iterator[Qemu]:
    with qemu:
        qemu.await_migration("completed")
        yield qemu


@contextlib.contextmanager
def from_fd(stand: Stand, name: str, *options: str) -> Iterator[Qemu]:
    """From a descriptor that it is started with."""
    with stand.end.to_read(name) as descriptor:
        incoming = ("-incoming", f"fd:{descriptor}")
        qemu = stand.second(*options, *incoming, descriptors=[descriptor])
        with _loaded(qemu):
            yield qemu


def devices_from_exec(stand: Stand, name: str) -> AbstractContextManager[Qemu]:
    """What ``xen-save-devices-state`` has written."""
    return from_exec(stand, name, *_DEVICES_ONLY)


def devices_from_fd(stand: Stand, name: str) -> AbstractContextManager[Qemu]:
    """What ``xen-save-devices-state`` has written."""
    return from_fd(stand, name, *_DEVICES_ONLY)


@contextlib.contextmanager
def from_file(stand: Stand, name: str) -> Iterator[Qemu]:
    """From a file that it opens itself."""
    with (
        stand.end.path_to_read(name) as path,
        _loaded(stand.second("-incoming", f"file:{path}")) as qemu,
    ):
        yield qemu


def from_file_prepared(
    prepare: Callable[[Qemu], None],
) -> Callable[..., AbstractContextManager[Qemu]]:
    """The same, once something is set that both sides need."""

    @contextlib.contextmanager
    def load(stand: Stand, name: str) -> Iterator[Qemu]:
        with stand.end.path_to_read(name) as path, stand.second("-incoming", "defer") as qemu:
            prepare(qemu)
            qemu.execute("migrate-incoming", uri=f"file:{path}")
            with _loaded(qemu):
                yield qemu

    return load


def from_socket(kind: str) -> Callable[[Stand, str], AbstractContextManager[Qemu]]:
    """From somebody who connects."""

    @contextlib.contextmanager
    def load(stand: Stand, name: str) -> Iterator[Qemu]:
        address = stand.address(kind)
        with (
            stand.second("-incoming", address) as qemu,
            stand.end.sending(name, address),
            _loaded(qemu),
        ):
            yield qemu

    return load
