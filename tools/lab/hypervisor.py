"""Xen itself, from Debian's package."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from tools.linux_guest.errors import GuestError
from tools.linux_guest.kernels import unpack

if TYPE_CHECKING:
    from pathlib import Path

    from tools.lab.stacks import Stack
    from tools.linux_guest.cache import Cache


def hypervisor(stack: Stack, cache: Cache) -> Path:
    """The image that QEMU loads: ELF32 with a multiboot header.  Raises ``GuestError``."""
    folder = cache.folder(stack.hypervisor, lambda target: _fetch(stack, target))
    return folder / "xen.elf32"


def _fetch(stack: Stack, target: Path) -> None:
    unpack(target, stack.suite, stack.hypervisor, lambda name: "/boot/xen-" in name)
    image = next((target / "boot").glob("xen-*.gz"), None)
    if image is None:
        raise GuestError(f"{stack.hypervisor} brought no /boot/xen-*.gz")
    (target / "xen.elf32").write_bytes(gzip.decompress(image.read_bytes()))
