"""What a supervisor leaves to the next one: for each worker a file that says what it was told.

A worker faces a guest, so nobody asks *it* what it serves.  Who started it writes that down before
the guest can have any say in it, in a directory where no worker can write and only root can look.
The state Connected is claimed only after the record is there: where there is a record, the next
supervisor knows whom to kill, whatever the worker has made of itself.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from typing import Any, Final, NamedTuple

from backend.supervisor.keys import DeviceKey, parse_devid, parse_domid
from backend.worker.control import ControlError, Ready, pack, unpack
from backend.worker.supervision import socket_name

FORMAT: Final = 1
"""Of a record, and of the packets on its worker's socket.  A supervisor that does not know it ends
the worker, by ``pid`` and ``birth``: these two are in records of any format."""

_NAME: Final = re.compile(r"(\d+)-(\d+)\.json")


class Record(NamedTuple):
    """One worker that serves.  Texts are as XenStore has them, decoded by ``os.fsdecode``."""

    pid: int
    birth: int
    """With ``pid`` the one process: ``processes.birth``."""
    version: str
    """The program's, that it runs."""
    platform: str
    domain: str
    """What identifies the domain over its life."""
    share: dict[str, str]
    """The nodes that describe it: ``share_nodes``."""
    rings: tuple[tuple[int, int], ...]
    """Reference of the interface page, and event channel, of each."""
    allowed_exports: tuple[str, ...]
    """What was allowed when it opened its share."""
    started: float
    """Monotonic seconds."""
    ready: Ready
    recovers: bool = False
    """Whether a keeper has what it serves with, and can hand it over."""
    predecessor: Record | None = None
    """Who served before, while it is not known to have ended: one of the two goes on."""


class Remains(NamedTuple):
    """Whom a record that cannot be read is about."""

    pid: int
    birth: int
    why: str


class Records:
    """The directory of records and of workers' sockets."""

    def __init__(self, directory: str) -> None:
        """Makes it, if need be.  Raises ``OSError``, also where others could write records."""
        os.makedirs(directory, mode=0o700, exist_ok=True)
        status = os.stat(directory, follow_symlinks=False)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise PermissionError(
                errno.EPERM, f"{directory} must be our own, and open to nobody else; remove it"
            )
        self.directory: Final = directory

    def write(self, key: DeviceKey, record: Record) -> None:
        """Put it there, whole or not at all.  Raises ``OSError``."""
        document = {"format": FORMAT, **_document(record)}
        path = self._path(key)
        with open(f"{path}.new", "w", encoding="ascii", opener=_private) as file:
            json.dump(document, file)
        os.rename(f"{path}.new", path)

    def remove(self, key: DeviceKey, pid: int) -> None:
        """The worker is no more."""
        for path in (self._path(key), f"{self.directory}/{socket_name(*key, pid)}"):
            # What stays is found, and removed, by the next supervisor.
            with contextlib.suppress(OSError):
                os.unlink(path)

    def remove_socket(self, key: DeviceKey, pid: int) -> None:
        """One of two workers of a device is no more."""
        with contextlib.suppress(OSError):
            os.unlink(f"{self.directory}/{socket_name(*key, pid)}")

    def found(self) -> list[tuple[DeviceKey, Record | Remains]]:
        """All that a supervisor before us has left; whatever else lies there is removed.

        Raises ``OSError``.
        """
        found: list[tuple[DeviceKey, Record | Remains]] = []
        kept = set()
        for name in sorted(os.listdir(self.directory)):
            key = _key(name)
            if key is None:
                continue
            record = _read(f"{self.directory}/{name}")
            if record is not None:
                kept |= {name, socket_name(*key, record.pid)}
                if isinstance(record, Record) and record.predecessor is not None:
                    kept.add(socket_name(*key, record.predecessor.pid))
                found.append((key, record))
        for name in set(os.listdir(self.directory)) - kept:
            # Of a worker that was not on record yet: it ends with the supervisor that started it.
            with contextlib.suppress(OSError):
                os.unlink(f"{self.directory}/{name}")
        return found

    def _path(self, key: DeviceKey) -> str:
        return f"{self.directory}/{key.domid}-{key.devid}.json"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _key(name: str) -> DeviceKey | None:
    match = _NAME.fullmatch(name)
    domid, devid = (parse_domid(match[1]), parse_devid(match[2])) if match else (None, None)
    return None if domid is None or devid is None else DeviceKey(domid, devid)


def _read(path: str) -> Record | Remains | None:
    """What a file says; ``None`` where it names no process, and so no harm is done without it."""
    try:
        with open(path, encoding="ascii") as file:
            document = json.load(file)
        pid, birth, form = int(document["pid"]), int(document["birth"]), document["format"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if form != FORMAT:
        return Remains(pid, birth, f"its record has format {form}, and only {FORMAT} is known")
    try:
        return _record(document)
    except (ValueError, LookupError, TypeError, AttributeError, ControlError):
        return Remains(pid, birth, "its record is damaged")


def _document(record: Record) -> dict[str, Any]:
    document = record._asdict() | {"ready": pack(record.ready).decode()}
    if record.predecessor is not None:
        document["predecessor"] = _document(record.predecessor)
    return document


def _record(document: dict[str, Any]) -> Record:
    document.pop("format", None)
    predecessor = document.get("predecessor")
    ready = unpack(document["ready"].encode())
    if not isinstance(ready, Ready):
        raise TypeError(ready)
    return Record(
        **document
        | {
            "rings": tuple((ref, port) for ref, port in document["rings"]),
            "allowed_exports": tuple(document["allowed_exports"]),
            "ready": ready,
            "predecessor": predecessor and _record(predecessor),
        }
    )
