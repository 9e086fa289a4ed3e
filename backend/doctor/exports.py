"""The directories that may be exported, and what their file systems can do for a share."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.doctor.finding import ok, problem, warning
from backend.exports import ExportError, open_export
from backend.share import SecurityModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from backend.doctor.finding import Area, Finding
    from backend.doctor.machine import Machine

_REMOTE: Final = re.compile(r"nfs|cifs|smb|ceph|glusterfs|9p|fuse")

_GIB: Final = 1 << 30


class Mount(NamedTuple):
    """Where a path lies."""

    point: str
    kind: str


def _roots(machine: Machine) -> Iterator[Finding]:
    allowed = machine.config.allowed_exports
    if not allowed:
        yield ok("any directory may be exported (allowed-exports is empty)")
    for path in allowed:
        yield _root(machine, path)


def _root(machine: Machine, path: str) -> Finding:
    real = str(machine.path(path))
    try:
        os.close(open_export(real))
    except ExportError as error:
        return problem(
            f"{path}: {error}", f"make it (mkdir -p {path}), or take it from allowed-exports"
        )
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mount = mount_of(os.path.realpath(real), file)
    about = os.statvfs(real)
    room = f"{about.f_bavail * about.f_frsize / _GIB:.1f} GiB free"
    read_only = bool(about.f_flag & os.ST_RDONLY)
    return judged(f"{path}: {mount.kind}, {room}", mount, read_only, _keeps_attributes(real))


def judged(shown: str, mount: Mount, read_only: bool, attributes: bool) -> Finding:
    """What is to be thought of the file system that a directory lies in."""
    if read_only:
        return warning(
            f"{shown}, mounted read-only",
            f"guests can only read; if they are to write: mount -o remount,rw {mount.point}",
        )
    if _REMOTE.match(mount.kind):
        return warning(
            f"{shown}: guests wait where its server does",
            "export a local file system where they must not",
        )
    if not attributes:
        return warning(
            f"{shown}, no user attributes",
            "for security_model mapped-xattr, export from ext4, XFS or Btrfs",
        )
    return ok(f"{shown}; quotas and both security models")


def _keeps_attributes(path: str) -> bool:
    try:
        os.close(open_export(path, model=SecurityModel.MAPPED_XATTR))
    except ExportError:
        return False
    return True


def mount_of(path: str, mountinfo: Iterable[str]) -> Mount:
    """The mount that the absolute ``path`` lies in, by proc_pid_mountinfo(5)."""
    best = Mount("", "unknown")
    for line in mountinfo:
        fields = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        below = path == point or path.startswith(point.rstrip("/") + "/")
        # Of two on one point, the later one covers the earlier one.
        if below and len(point) >= len(best.point):
            best = Mount(point, fields[fields.index("-") + 1])
    return best


CHECKS: Final[Area] = {"directories": _roots}
