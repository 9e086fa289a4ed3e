"""Where libxl looks for ``xen-9pfsd`` and ``vchan-socket-proxy``, and whose programs lie there."""

from __future__ import annotations

import os
import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME: Final = "xen-9pfsd"
PROXY: Final = "vchan-socket-proxy"
"""What libxl runs for each stub domain's monitor: ``STUBDOM_QMP_PROXY_PATH``."""

KEPT: Final = ".distrib"
"""Added to the name of what lay there before us; dpkg-divert's own choice."""

INSTALLED: Final = "/usr/lib/xen-fileproxy"
"""Where a package puts our programs of these names."""

_DEBIAN: Final = re.compile(r"xen-(\d+)\.(\d+)")
_PLACES: Final = (
    *("usr/libexec/xen/bin", "usr/lib/xen/bin", "usr/lib64/xen/bin"),
    *("usr/local/libexec/xen/bin", "usr/local/lib/xen/bin", "usr/local/lib64/xen/bin"),
)
"""``LIBEXEC_BIN`` of Xen's ``m4/paths.m4``, as distributions and ``make install`` set it."""

_BINDIR: Final = ("usr/bin", "usr/local/bin")
"""Where the proxy is but on Debian, which has a wrapper there: it runs what lies in the directory
of the Xen that runs."""

_WRAPPER: Final = "xen-utils-wrapper"

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
        directory: hook_in(directory, root=root)
        for directory in directories or libexec_directories(root)
    }


def proxies(directories: Sequence[str] = (), root: str = "/") -> dict[str, Hook]:
    """Whose each proxy of a monitor is, by directory: where one lies, or did before us."""
    searched = directories or (
        *libexec_directories(root),
        *(str(Path(root) / place) for place in _BINDIR),
    )
    found = {directory: os.path.join(directory, PROXY) for directory in searched}
    return {
        directory: Hook.OURS if is_ours(path) else Hook.THEIRS
        for directory, path in found.items()
        if _is_proxy(path) or os.path.lexists(path + KEPT)
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


def hook_in(directory: str, name: str = NAME, root: str = "/") -> Hook:
    """Whose program of that name libxl would run from ``directory``."""
    path = os.path.join(directory, name)
    if is_ours(path):
        return Hook.OURS
    if os.path.lexists(path):
        return Hook.THEIRS
    version = _version(directory, root) if name == NAME else None
    return Hook.OLD if version is not None and version < _FIRST else Hook.NONE


def is_ours(path: str) -> bool:
    """Whether ``path`` is a link to our program, be that installed (still) or not."""
    if not os.path.islink(path):
        return False
    target, name = os.path.realpath(path), os.path.basename(path)
    return target in (os.path.join(INSTALLED, name), os.path.realpath(launcher(name)))


def launcher(name: str = NAME) -> str:
    """Our program of that name: beside this package, or in ``tools`` of a source tree."""
    home = Path(__file__).resolve().parents[2]
    source = home / "tools" / "dom0" / name
    return str(source if source.exists() else home / name)


def _is_proxy(path: str) -> bool:
    return os.path.lexists(path) and os.path.basename(os.path.realpath(path)) != _WRAPPER


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
