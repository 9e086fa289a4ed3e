"""The guest's root: a minimal Debian with the programs that are run on the share."""

from __future__ import annotations

import hashlib
import tarfile
from typing import TYPE_CHECKING, Final

from tools.linux_guest.newc import Archive
from tools.linux_guest.programs import require, run

if TYPE_CHECKING:
    from pathlib import Path

    from tools.linux_guest.cache import Cache

SUITE: Final = "bookworm"
PACKAGES: Final = (
    *("dbench", "fio", "postmark", "stress-ng"),
    *("busybox-static", "gcc", "git", "libc6-dev", "make", "python3"),
)
LEFT_OUT: Final = (
    *("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man"),
    *("var/cache", "var/lib/apt"),
)


def root_archive(cache: Cache) -> Path:
    """The root as a cpio archive, kept under a name that changes with its content."""
    wanted = "\n".join((SUITE, *PACKAGES, *LEFT_OUT))
    digest = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    return cache.folder(f"root-{digest}", _make) / "root.cpio"


def _make(target: Path) -> None:
    require("mmdebstrap")
    print(f"  making the guest's root: Debian {SUITE} with {' '.join(PACKAGES)}", flush=True)
    tarball = target / "root.tar"
    run(
        "mmdebstrap",
        *("--quiet", "--variant=essential", f"--include={','.join(PACKAGES)}"),
        *(f"--dpkgopt=path-exclude=/{folder}/*" for folder in LEFT_OUT if "usr/" in folder),
        "--aptopt=Apt::Install-Recommends false",
        *(SUITE, str(tarball)),
    )
    with (
        tarfile.open(tarball) as tar,
        (target / "root.cpio").open("wb") as out,
        Archive(out) as archive,
    ):
        archive.add_tar(tar, _wanted)
    tarball.unlink()


def _wanted(name: str) -> bool:
    return not name.removeprefix("./").startswith(LEFT_OUT)
