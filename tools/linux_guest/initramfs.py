"""Puts the archive together that the kernel unpacks: a root, and over it our own files."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.linux_guest.errors import GuestError
from tools.linux_guest.modules import load_order
from tools.linux_guest.newc import Archive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tools.linux_guest.kernels import Kernel

GUEST_FILES: Final = Path(__file__).parent / "guest"
SOURCE: Final = Path(__file__).parent.parent.parent
BUSYBOX: Final = Path("/bin/busybox")


def write_initramfs(
    target: Path, kernel: Kernel, root: Path | None, source: Iterable[str] = ()
) -> None:
    """Write the archive: over ``root``, a cpio archive, or over nothing but busybox.

    The guest finds the folders of our ``source`` in ``/source``.
    """
    with target.open("wb") as out:
        if root is not None:
            with root.open("rb") as base:
                shutil.copyfileobj(base, out, 1 << 20)
        with Archive(out) as archive:
            if root is None:
                add_busybox(archive)
            archive.add("guest", stat.S_IFDIR | 0o755)
            add_modules(archive, load_order(kernel.modules), "guest/modules")
            add_folder(archive, GUEST_FILES, "guest")
            for folder in source:
                for above in reversed(Path("source", folder).parents[:-1]):
                    archive.add(str(above), stat.S_IFDIR | 0o755)
                archive.add(f"source/{folder}", stat.S_IFDIR | 0o755)
                add_folder(archive, SOURCE / folder, f"source/{folder}")
            archive.add("init", stat.S_IFREG | 0o755, (GUEST_FILES / "init").read_bytes())


def add_modules(archive: Archive, modules: Iterable[tuple[str, bytes]], folder: str) -> None:
    """Add modules under names that sort in the order in which they are to be loaded."""
    archive.add(folder, stat.S_IFDIR | 0o755)
    for number, (name, content) in enumerate(modules):
        archive.add(f"{folder}/{number:02}-{name}.ko", stat.S_IFREG | 0o644, content)


def add_folder(archive: Archive, folder: Path, name: str) -> None:
    """Add all that lies in ``folder``, as ``name``, which must be there."""
    for path in sorted(folder.iterdir()):
        inside = f"{name}/{path.name}"
        if path.name == "__pycache__":
            continue
        if path.is_dir():
            archive.add(inside, stat.S_IFDIR | 0o755)
            add_folder(archive, path, inside)
        else:
            archive.add(inside, stat.S_IFREG | 0o755, path.read_bytes())


def add_busybox(archive: Archive) -> None:
    """Add busybox and a shell.  Raises ``GuestError``."""
    if not BUSYBOX.exists():
        raise GuestError("missing: busybox-static; install with: sudo apt install busybox-static")
    archive.add("bin", stat.S_IFDIR | 0o755)
    archive.add("bin/busybox", stat.S_IFREG | 0o755, BUSYBOX.read_bytes())
    archive.add("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
