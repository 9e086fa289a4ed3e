"""The ways of QEMU's state: how one QEMU saves it, how the next loads it, and what is compared.

The first QEMU has a pattern in its memory and another time than the second starts with.  When the
second has loaded, its memory and the state of its devices are byte for byte the first one's.
Everything is saved over an older file that is longer, so a tail that stays would be found as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from backend.channel.qmp import Refused
from tools.qemu_ways.qemu import DEADLINE, MEMORY, Qemu, WayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tools.qemu_ways.ends import End

OLDER: Final = MEMORY + (8 << 20)
"""Bytes of the file that is saved over: more than any of the states has."""

CHANNEL: Final = "qmp"
"""The channel, for both directions, that a share must have beside the ways' files."""

_PATTERN: Final = 1 << 20
_PATTERN_AT: Final = 2 << 20
_ANOTHER_TIME: Final = ("-rtc", "base=2010-11-12,clock=vm")
_DEVICES_ONLY: Final = ("-global", "migration.send-configuration=off")
"""``xen-save-devices-state`` writes no configuration section, so none must be waited for."""


@dataclass(frozen=True)
class Stand:
    """Where a way is tried: which QEMU, at which end of a guest, and a folder for the rest."""

    command: Sequence[str]
    version: tuple[int, int]
    end: End
    full: End
    """Of a second share, in which nothing more has room."""
    scratch: Path

    def start(self, name: str, *arguments: str, descriptors: Sequence[int] = ()) -> Qemu:
        """A QEMU of that name.  Raises ``MonitorError``."""
        log = self.scratch / f"{name}.log"
        return Qemu(self.command, log, *arguments, descriptors=descriptors)

    def first(self, size: int = _PATTERN) -> Qemu:
        """One with ``size`` bytes in its memory that nobody has seen before."""
        pattern = self.scratch / "pattern"
        pattern.write_bytes(os.urandom(size))
        return self.start(
            "first", "-device", f"loader,file={pattern},addr={_PATTERN_AT},force-raw=on"
        )

    def second(self, *arguments: str, descriptors: Sequence[int] = ()) -> Qemu:
        """One that waits for a state."""
        return self.start("second", *_ANOTHER_TIME, *arguments, descriptors=descriptors)

    def address(self, kind: str) -> str:
        """One of a socket that nobody has."""
        if kind == "unix":
            path = self.scratch / "socket"
            path.unlink(missing_ok=True)
            return f"unix:{path}"
        return f"tcp:127.0.0.1:{free_port()}"


def free_port() -> int:
    """A TCP port of this machine that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


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


def _save_to_path(stand: Stand, qemu: Qemu, name: str) -> None:
    with stand.end.path_to_write(name) as path:
        qemu.execute("xen-save-devices-state", filename=path)


def _save_to_fdset(stand: Stand, qemu: Qemu, name: str) -> None:
    # QEMU truncates what it dups; that the descriptor was not opened so shows it.
    with stand.end.to_write(name, truncate=False) as descriptor:
        qemu.pass_descriptor(descriptor)
        number = qemu.execute("add-fd")["fdset-id"]
        qemu.execute("xen-save-devices-state", filename=f"/dev/fdset/{number}")
        qemu.execute("remove-fd", fdset_id=number)


def _save_exec(stand: Stand, qemu: Qemu, name: str) -> None:
    qemu.migrate(f"exec:{stand.end.writer(name)}")


def _save_fd(stand: Stand, qemu: Qemu, name: str) -> None:
    with stand.end.to_write(name) as descriptor:
        qemu.migrate(qemu.take(descriptor))


def _save_file(stand: Stand, qemu: Qemu, name: str) -> None:
    with stand.end.path_to_write(name) as path:
        qemu.migrate(f"file:{path}")


def _save_prepared(prepare: Callable[[Qemu], None]) -> Callable[[Stand, Qemu, str], None]:
    def save(stand: Stand, qemu: Qemu, name: str) -> None:
        prepare(qemu)
        _save_file(stand, qemu, name)

    return save


def _save_socket(kind: str) -> Callable[[Stand, Qemu, str], None]:
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


_NOBODY: Final = ("Connection refused", "No such file or directory")


def _load_exec(stand: Stand, name: str, *options: str) -> AbstractContextManager[Qemu]:
    return _loaded(stand.second(*options, "-incoming", f"exec:{stand.end.reader(name)}"))


@contextlib.contextmanager
def _loaded(qemu: Qemu) -> Iterator[Qemu]:
    with qemu:
        qemu.await_migration("completed")
        yield qemu


@contextlib.contextmanager
def _load_fd(stand: Stand, name: str, *options: str) -> Iterator[Qemu]:
    with stand.end.to_read(name) as descriptor:
        incoming = ("-incoming", f"fd:{descriptor}")
        qemu = stand.second(*options, *incoming, descriptors=[descriptor])
        with _loaded(qemu):
            yield qemu


def _load_devices_exec(stand: Stand, name: str) -> AbstractContextManager[Qemu]:
    return _load_exec(stand, name, *_DEVICES_ONLY)


def _load_devices_fd(stand: Stand, name: str) -> AbstractContextManager[Qemu]:
    return _load_fd(stand, name, *_DEVICES_ONLY)


@contextlib.contextmanager
def _load_file(stand: Stand, name: str) -> Iterator[Qemu]:
    with (
        stand.end.path_to_read(name) as path,
        _loaded(stand.second("-incoming", f"file:{path}")) as qemu,
    ):
        yield qemu


def _load_deferred(prepare: Callable[[Qemu], None]) -> Callable[..., AbstractContextManager[Qemu]]:
    @contextlib.contextmanager
    def load(stand: Stand, name: str) -> Iterator[Qemu]:
        with stand.end.path_to_read(name) as path, stand.second("-incoming", "defer") as qemu:
            prepare(qemu)
            qemu.execute("migrate-incoming", uri=f"file:{path}")
            with _loaded(qemu):
                yield qemu

    return load


def _load_socket(kind: str) -> Callable[[Stand, str], AbstractContextManager[Qemu]]:
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
        *(_save_to_path, _load_devices_fd),
        memory=False,
    ),
    Way(
        "fdset",
        "`xen-save-devices-state` to an fdset; `-incoming exec:`",
        *(_save_to_fdset, _load_devices_exec),
        memory=False,
        unfit=_TRUNCATES,
    ),
    Way("exec", "`migrate` to `exec:`; `-incoming exec:`", _save_exec, _load_exec),
    Way("fd", "`migrate` to `fd:`; `-incoming fd:`", _save_fd, _load_fd),
    *(
        Way(
            kind,
            f"`migrate` to `{kind}:`; `-incoming {kind}:`",
            *(_save_socket(kind), _load_socket(kind)),
        )
        for kind in ("unix", "tcp")
    ),
    Way(
        "file",
        "`migrate` to `file:`; `-incoming file:`",
        *(_save_file, _load_file),
        since=(8, 2),
        unfit=_TRUNCATES,
    ),
    Way(
        "exec-file",
        "`migrate` to `exec:`; `-incoming file:`",
        *(_save_exec, _load_file),
        since=(8, 2),
    ),
    Way(
        "mapped",
        "`file:` with `mapped-ram`, both ways",
        *(_save_prepared(_mapped), _load_deferred(_mapped)),
        since=(9, 0),
        unfit=_SEEKS,
    ),
    Way(
        "direct",
        "`file:` with `mapped-ram`, `multifd` and `direct-io`, both ways",
        *(_save_prepared(_direct), _load_deferred(_direct)),
        since=(9, 1),
        unfit=_SEEKS,
    ),
)
