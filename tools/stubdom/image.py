"""The image of the stub domain: what ``stubdomain_ramdisk`` names.

It is two archives, which the kernel unpacks one after the other: ours, and a Debian root.  The root
is compressed by zstd, which is unpacked fast: libxl gives a stub domain 30 seconds until its QEMU
runs.  Xen's domain builder, which knows gzip, leaves it as it is, because ours comes first.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import stat
import tarfile
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.linux_guest.initramfs import add_folder, add_modules
from tools.linux_guest.modules import load_order
from tools.linux_guest.newc import Archive
from tools.linux_guest.programs import require, run
from tools.linux_guest.root import root_tarball

if TYPE_CHECKING:
    from tools.linux_guest.cache import Cache
    from tools.linux_guest.kernels import Kernel

PACKAGES: Final = ("busybox-static", "python3", "qemu-system-xen", "xenstore-utils")
"""What the root has, beside what every Debian has."""
LEFT_OUT: Final = (
    *("boot/*", "var/*", "usr/lib/apt/*", "usr/lib/dpkg/*", "usr/lib/systemd/*"),
    *("usr/bin/perl*", "usr/lib/*/perl*", "usr/lib/*/libperl*", "usr/share/perl*"),
    *("usr/lib/*/gconv/*", "usr/lib/*/gstreamer*", "usr/lib/*/libapt*"),
    *("usr/lib/python3*/pydoc_data/*", "usr/lib/python3*/test/*", "usr/lib/python3*/asyncio/*"),
    *("usr/lib/python3*/email/*", "usr/lib/python3*/xml/*", "usr/lib/python3*/unittest/*"),
    *("usr/lib/python3*/multiprocessing/*", "usr/lib/python3*/lib2to3/*", "usr/lib/python3/*"),
    *("usr/lib/*/libdb-*", "usr/lib/*/libsqlite3*", "usr/lib/*/libmvec*", "usr/sbin/ldconfig*"),
    *("usr/share/bash-completion/*", "usr/share/doc/*", "usr/share/iso-codes/*"),
    *("usr/share/locale/*", "usr/share/man/*", "usr/share/xml/*", "usr/share/zoneinfo/*"),
    *("usr/share/qemu/openbios-*", "usr/share/qemu/skiboot*", "usr/share/qemu/slof*"),
)
"""What no stub domain needs of it, as ``fnmatch`` has it; a ``*`` stands for folders, too."""
MODULES: Final = (
    *("9p", "9pnet_xen", "xen_blkfront"),
    *("xen_privcmd", "xenfs", "xen_evtchn", "xen_gntdev", "xen_gntalloc"),
)
_GUEST: Final = Path(__file__).parent / "guest"
_ALIGNED: Final = 512
"""Bytes; the kernel wants 4."""


def compressed_root(cache: Cache, suite: str) -> Path:
    """Debian with QEMU, compressed; made once and kept.  Raises ``GuestError``."""
    wanted = "\n".join((suite, *PACKAGES, "without", *LEFT_OUT))

    def make(target: Path) -> None:
        require("zstd")
        tarball = root_tarball(cache, suite, PACKAGES)
        plain = target / "root.cpio"
        with tarfile.open(tarball) as tar, plain.open("wb") as out, Archive(out) as archive:
            archive.add_tar(tar, _is_needed)
        run("zstd", "--quiet", "--rm", "-12", str(plain))

    name = f"stubdom-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    return cache.folder(name, make) / "root.cpio.zst"


def write_initramfs(target: Path, kernel: Kernel, root: Path) -> None:
    """Put ours before ``root``.  Raises ``GuestError``."""
    ours = io.BytesIO()
    with Archive(ours) as archive:
        archive.add("stubdom", stat.S_IFDIR | 0o755)
        add_folder(archive, _GUEST, "stubdom")
        add_modules(archive, load_order(kernel.modules, MODULES), "stubdom/modules")
        archive.add("init", stat.S_IFLNK | 0o777, b"/stubdom/init")
    with target.open("wb") as out, root.open("rb") as base:
        out.write(ours.getvalue())
        out.write(bytes(-out.tell() % _ALIGNED))
        shutil.copyfileobj(base, out, 1 << 20)


def _is_needed(name: str) -> bool:
    path = name.removeprefix("./")
    return not any(fnmatch(path, pattern) for pattern in LEFT_OUT)
