"""Where libxl looks for its ``xen-9pfsd``, and whose program lies there."""

from __future__ import annotations

import os
import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME: Final = "xen-9pfsd"
KEPT: Final = ".distrib"
"""Added to the name of what lay there before us; dpkg-divert's own choice."""

INSTALLED: Final = "/usr/lib/xen-fileproxy/xen-9pfsd"
"""Our program, where a package puts it."""

_DEBIAN: Final = re.compile(r"xen-(\d+)\.(\d+)")
_PLACES: Final = (
    *("usr/libexec/xen/bin", "usr/lib/xen/bin", "usr/lib64/xen/bin"),
    *("usr/local/libexec/xen/bin", "usr/local/lib/xen/bin", "usr/local/lib64/xen/bin"),
)
"""``LIBEXEC_BIN`` of Xen's ``m4/paths.m4``, as distributions and ``make install`` set it."""

_FIRST: Final = (4, 19)
"""The first Xen whose libxl knows ``type=xen_9pfsd``."""


class Hook(Enum):
    """Whose program libxl runs from a directory."""

    THEIRS = "theirs"
    """Xen's own, or whatever else an administrator put there."""
    OURS = "ours"
    NONE = "none"
    """Nothing is there: libxl cannot start a backend."""
    OLD = "too old"
    """Nothing is there, and this Xen would run nothing."""


def state(directories: Sequence[str] = (), root: str = "/") -> dict[str, Hook]:
    """Whose each of libxl's directories is, by directory; without ``directories``, those found."""
    return {
        directory: hook_in(directory, root)
        for directory in directories or libexec_directories(root)
    }


def libexec_directories(root: str = "/") -> list[str]:
    """The directories of this machine that a libxl runs its programs from."""
    # Not /usr/lib/xen-common/bin, which holds Debian's wrappers.
    debian = sorted(Path(root).glob("usr/lib/xen-[0-9]*/bin"))
    found = (path for path in (*debian, *(Path(root) / place for place in _PLACES)))
    seen: dict[str, str] = {}
    for path in found:
        if path.is_dir():
            seen.setdefault(os.path.realpath(path), str(path))  # /usr/lib64 may be /usr/lib
    return list(seen.values())


def hook_in(directory: str, root: str = "/") -> Hook:
    """Whose program libxl would run from ``directory``."""
    path = os.path.join(directory, NAME)
    if is_ours(path):
        return Hook.OURS
    if os.path.lexists(path):
        return Hook.THEIRS
    version = _version(directory, root)
    return Hook.OLD if version is not None and version < _FIRST else Hook.NONE


def is_ours(path: str) -> bool:
    """Whether ``path`` is a link to our program, be that installed (still) or not."""
    if not os.path.islink(path):
        return False
    target = os.path.realpath(path)
    return target == INSTALLED or target == os.path.realpath(launcher())


def launcher() -> str:
    """Our program: beside this package where it is installed, in ``tools`` in a source tree."""
    home = Path(__file__).resolve().parents[2]
    source = home / "tools" / "dom0" / NAME
    return str(source if source.exists() else home / NAME)


def _version(directory: str, root: str) -> tuple[int, int] | None:
    """The Xen that a directory belongs to: by its name on Debian, else the one that runs."""
    match = _DEBIAN.search(directory)
    if match:
        return int(match[1]), int(match[2])
    about = Path(root) / "sys/hypervisor/version"
    try:
        return int((about / "major").read_text()), int((about / "minor").read_text())
    except (OSError, ValueError):
        return None
