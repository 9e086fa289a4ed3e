"""The QEMUs of Debian's releases: each release's own, in a guest and unpacked for this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tools.linux_guest.kernels import unpack

if TYPE_CHECKING:
    from pathlib import Path

    from tools.linux_guest.cache import Cache

PACKAGE: Final = "qemu-system-x86"
PROGRAM: Final = "qemu-system-x86_64"

_LIBRARIES: Final = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
"""Debian 12 has the C library's in the second."""
_FIRMWARE: Final = ("usr/share/qemu", "usr/share/seabios")
_WANTED: Final = (f"usr/bin/{PROGRAM}", *_LIBRARIES, *_FIRMWARE)


@dataclass(frozen=True)
class Version:
    """A release's QEMU, and the kernel that its guest has."""

    number: tuple[int, int]
    suite: str
    kernel: str

    @property
    def name(self) -> str:
        """As the page has it."""
        return f"{self.number[0]}.{self.number[1]}"

    def command(self, cache: Cache) -> list[str]:
        """To run it here, by its own loader and libraries: nothing is installed.

        Raises ``GuestError``.
        """
        folder = cache.folder(f"qemu-{self.suite}", self._unpack)
        libraries = [folder / place for place in _LIBRARIES if (folder / place).is_dir()]
        (loader,) = (found for place in libraries for found in place.glob("ld-linux-x86-64.so.2"))
        firmware = [option for place in _FIRMWARE for option in ("-L", str(folder / place))]
        path = ("--library-path", ":".join(map(str, libraries)))
        modules = f"QEMU_MODULE_DIR={folder / _LIBRARIES[0] / 'qemu'}"
        return ["env", modules, str(loader), *path, str(folder / "usr/bin" / PROGRAM), *firmware]

    def _unpack(self, target: Path) -> None:
        unpack(target, self.suite, PACKAGE, _wanted)


def _wanted(name: str) -> bool:
    return name.removeprefix("./").startswith(_WANTED)


VERSIONS: Final = (Version((7, 2), "bookworm", "6.1"), Version((10, 0), "trixie", "6.12"))
