"""A root: a minimal Debian with some packages, by default what is run on the share."""

from __future__ import annotations

import hashlib
import tarfile
from typing import TYPE_CHECKING, Final

from tools.linux_guest.newc import Archive
from tools.linux_guest.programs import require, run

if TYPE_CHECKING:
    from collections.abc import Sequence
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


def root_archive(
    cache: Cache,
    suite: str = SUITE,
    packages: Sequence[str] = PACKAGES,
    variant: str = "essential",
    without: Sequence[str] = (),
) -> Path:
    """The root as a cpio archive, kept under a name that changes with its content.

    What begins with one of ``without`` is left out.
    """

    def make(target: Path) -> None:
        tarball = target / "root.tar"
        _debian(tarball, suite, packages, variant)
        write_archive(target / "root.cpio", tarball, without)
        tarball.unlink()

    return cache.folder(_name("root", suite, [*packages, *without], variant), make) / "root.cpio"


def root_tarball(
    cache: Cache, suite: str, packages: Sequence[str], variant: str = "minbase"
) -> Path:
    """The same as a tar archive, for one to install more in it."""

    def make(target: Path) -> None:
        _debian(target / "root.tar", suite, packages, variant)

    return cache.folder(_name("debian", suite, packages, variant), make) / "root.tar"


def write_archive(target: Path, tarball: Path, without: Sequence[str] = ()) -> None:
    """What is wanted of a root, as the kernel unpacks it."""
    unwanted = (*LEFT_OUT, *without)
    with tarfile.open(tarball) as tar, target.open("wb") as out, Archive(out) as archive:
        archive.add_tar(tar, lambda name: not name.removeprefix("./").startswith(unwanted))


def _name(kind: str, suite: str, packages: Sequence[str], variant: str) -> str:
    wanted = "\n".join(("with times", variant, suite, *packages, *LEFT_OUT))
    return f"{kind}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"


def _debian(tarball: Path, suite: str, packages: Sequence[str], variant: str) -> None:
    require("mmdebstrap")
    print(f"  making a root: Debian {suite} with {' '.join(packages)}", flush=True)
    run(
        "mmdebstrap",
        *("--quiet", f"--variant={variant}", f"--include={','.join(packages)}"),
        *(f"--dpkgopt=path-exclude=/{folder}/*" for folder in LEFT_OUT if "usr/" in folder),
        "--aptopt=Apt::Install-Recommends false",
        *(suite, str(tarball)),
    )
