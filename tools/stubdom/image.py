"""The image of the stub domain: what ``stubdomain_ramdisk`` names.

The kernel unpacks several compressed archives one after the other, so the root, which takes long
to make, is made once; ours is put after it.
"""

from __future__ import annotations

import gzip
import io
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.linux_guest.initramfs import add_folder, add_modules
from tools.linux_guest.modules import load_order
from tools.linux_guest.newc import Archive
from tools.linux_guest.root import root_archive

if TYPE_CHECKING:
    from tools.linux_guest.cache import Cache
    from tools.linux_guest.kernels import Kernel

PACKAGES: Final = ("busybox-static", "python3", "qemu-system-xen", "xenstore-utils")
"""What the root has, beside what every Debian has."""
MODULES: Final = (
    *("xen_privcmd", "xenfs", "xen_evtchn", "xen_gntdev", "xen_gntalloc"),
    *("9p", "9pnet_xen"),
)
_GUEST: Final = Path(__file__).parent / "guest"
_COMPRESSION: Final = 6


def compressed_root(cache: Cache, suite: str) -> Path:
    """Debian with QEMU, compressed; made once and kept.  Raises ``GuestError``."""
    root = root_archive(cache, suite, PACKAGES, "minbase")

    def compress(target: Path) -> None:
        print(f"  compressing the stub domain's root: Debian {suite}", flush=True)
        with root.open("rb") as source, _gzip(target / "root.cpio.gz") as out:
            shutil.copyfileobj(source, out, 1 << 20)

    return cache.folder(f"stubdom-{root.parent.name}", compress) / "root.cpio.gz"


def write_initramfs(target: Path, kernel: Kernel, root: Path) -> None:
    """Put ours after ``root``.  Raises ``GuestError``."""
    ours = io.BytesIO()
    with Archive(ours) as archive:
        archive.add("stubdom", stat.S_IFDIR | 0o755)
        add_folder(archive, _GUEST, "stubdom")
        add_modules(archive, load_order(kernel.modules, MODULES), "stubdom/modules")
        archive.add("init", stat.S_IFLNK | 0o777, b"/stubdom/init")
    with target.open("wb") as out:
        with root.open("rb") as base:
            shutil.copyfileobj(base, out, 1 << 20)
        out.write(gzip.compress(ours.getvalue(), _COMPRESSION, mtime=0))


def _gzip(target: Path) -> gzip.GzipFile:
    return gzip.GzipFile(target, "wb", _COMPRESSION, mtime=0)
