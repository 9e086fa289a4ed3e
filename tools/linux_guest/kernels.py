"""Debian's kernels: the one that is installed, or one fetched by package name and kept."""

from __future__ import annotations

import hashlib
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.linux_guest.errors import GuestError
from tools.linux_guest.programs import require, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.linux_guest.cache import Cache

PACKAGE: Final = "linux-image-amd64"
SUITE_OF: Final = {"6.1": "bookworm", "6.12": "trixie"}
"""The Debian release that has each series."""

_MODULE_FOLDERS: Final = (
    *("drivers/block", "drivers/char", "drivers/net", "drivers/virtio", "drivers/xen"),
    *("net", "fs", "lib"),
)


@dataclass(frozen=True)
class Kernel:
    """A kernel: what ``uname -r`` will say, its image, and the folder with its modules."""

    release: str
    image: Path
    modules: Path

    @property
    def series(self) -> str:
        """As ``SUITE_OF`` names it: ``6.1`` of ``6.1.0-9-amd64``."""
        return ".".join(self.release.split(".")[:2])


def installed_kernel(series: str = "", root: Path = Path("/")) -> Kernel | None:
    """The newest kernel of the series under ``root`` that has its modules with it."""
    found = []
    for image in (root / "boot").glob(f"vmlinuz-{series}*"):
        release = image.name.removeprefix("vmlinuz-")
        # Ubuntu lets only root read it.
        if not os.access(image, os.R_OK):
            continue
        if series and not release.removeprefix(series).startswith((".", "-", "+")):
            continue
        # Debian 13's package has its files under /usr; elsewhere /lib is a link to there.
        for modules in (root / "usr/lib/modules" / release, root / "lib/modules" / release):
            if (modules / "kernel").is_dir():
                found.append(Kernel(release, image, modules))
                break
    return max(found, key=lambda kernel: kernel.release, default=None)


def kernel(series: str, cache: Cache) -> Kernel:
    """The series' kernel: installed, kept from before, or fetched.  Raises ``GuestError``."""
    if series not in SUITE_OF:
        raise GuestError(f"kernel {series}: known are {', '.join(SUITE_OF)}")
    if here := installed_kernel(series):
        return here
    kept = hashlib.sha256("\n".join(_MODULE_FOLDERS).encode()).hexdigest()[:12]
    folder = cache.folder(f"kernel-{series}-{kept}", lambda target: _fetch(series, target))
    fetched = installed_kernel(series, folder)
    if fetched is None:
        raise GuestError(f"{folder}: {PACKAGE} brought no kernel {series}; remove it and try again")
    return fetched


def _fetch(series: str, target: Path) -> None:
    unpack(target, SUITE_OF[series], PACKAGE, _wanted)


def unpack(target: Path, suite: str, package: str, wanted: Callable[[str], bool]) -> None:
    """Unpack what is wanted of a package into ``target``; nothing of it is run."""
    require("mmdebstrap")
    print(f"  fetching {package} of Debian {suite}", flush=True)
    archive = target / "packages.tar"
    run(
        "mmdebstrap",
        *("--quiet", "--variant=extract", f"--include={package}"),
        "--aptopt=Apt::Install-Recommends false",
        *(suite, str(archive)),
    )
    with tarfile.open(archive) as tar:
        tar.extractall(target, [member for member in tar if wanted(member.name)], filter="data")
    archive.unlink()


def _wanted(name: str) -> bool:
    """The image, what is built into it, and those modules among which ours are."""
    if "/boot/vmlinuz-" in name or name.endswith("/modules.builtin"):
        return True
    _, found, module = name.partition("/kernel/")
    return bool(found) and "/lib/modules/" in name and module.startswith(_MODULE_FOLDERS)
