"""Our Debian package, built of this tree and installed in Dom0's root by dpkg(1)."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from tools.lab.images import SOURCE
from tools.linux_guest.programs import run
from tools.linux_guest.root import write_archive

if TYPE_CHECKING:
    from pathlib import Path

_INSIDE: Final = "/tmp/xen-fileproxy.deb"  # noqa: S108 -- in the root that is made


def package(target: Path) -> Path:
    """Build it into ``target``.  Raises ``GuestError``."""
    run("sh", str(SOURCE / "tools/debian/build.sh"), str(target))
    return next(target.glob("*.deb"))


def installed(target: Path, tarball: Path, deb: Path) -> Path:
    """A root as the kernel unpacks it, made in ``target``: ``tarball``'s, with ``deb`` installed.

    mmdebstrap only unpacks here, and packs what dpkg left: it can do so without being root.  The
    package's dependencies must be there.  Raises ``GuestError``.
    """
    made = target / "installed.tar"
    run(
        *("mmdebstrap", "--quiet", "--variant=custom"),
        "--skip=update,setup,essential/unlink,cleanup",
        f'--setup-hook=tar --extract --file={shlex.quote(str(tarball))} --directory="$1"',
        f"--customize-hook=upload {shlex.quote(str(deb))} {_INSIDE}",
        f'--customize-hook=chroot "$1" dpkg --install {_INSIDE} >&2',
        f'--customize-hook=rm "$1{_INSIDE}"',
        *("", str(made)),
    )
    write_archive(target / "installed.cpio", made)
    made.unlink()
    return target / "installed.cpio"
