"""How the commands show files: for people, and with ``--json`` for programs."""

from __future__ import annotations

import json
import os
import stat
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from frontend_stub.attributes import Attributes
    from frontend_stub.paths import Path

_KINDS: Final = {
    stat.S_IFDIR: "directory",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def line(text: str, stream: TextIO | None = None) -> None:
    """Print one line, to standard output unless told otherwise."""
    (stream or sys.stdout).write(text + "\n")


def document(value: Any, stream: TextIO | None = None) -> None:  # noqa: ANN401 -- anything JSON has
    """Print a JSON document, indented where people read it."""
    stream = stream or sys.stdout
    line(json.dumps(value, indent=2 if stream.isatty() else None), stream)


def name(path: Path) -> str:
    """A name for standard output: exact, but on a terminal without control characters."""
    text = os.fsdecode(path)
    if not sys.stdout.isatty():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)


def kind(attributes: Attributes) -> str:
    """The file's type in a word."""
    return _KINDS.get(stat.S_IFMT(attributes.mode), "unknown")


def time(nanoseconds: int) -> str:
    """A point in time, in the local zone."""
    return datetime.fromtimestamp(nanoseconds // 10**9).astimezone().isoformat(" ", "seconds")


def size(count: int) -> str:
    """A number of bytes for people."""
    amount = float(count)
    for unit in _UNITS:
        if amount < 1024 or unit == _UNITS[-1]:
            break
        amount /= 1024
    return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"


def as_json(path: Path, attributes: Attributes) -> dict[str, Any]:
    """A file as ``--json`` shows it: sizes in bytes, times in nanoseconds since 1970."""
    return {
        "name": os.fsdecode(path),
        "type": kind(attributes),
        "mode": f"{stat.S_IMODE(attributes.mode):04o}",
        "uid": attributes.uid,
        "gid": attributes.gid,
        "nlink": attributes.nlink,
        "size": attributes.size,
        "blocks": attributes.blocks,
        "atime_ns": attributes.atime_ns,
        "mtime_ns": attributes.mtime_ns,
        "ctime_ns": attributes.ctime_ns,
        "qid": {"type": attributes.qid.type, "version": attributes.qid.version}
        | {"path": attributes.qid.path},
    }
