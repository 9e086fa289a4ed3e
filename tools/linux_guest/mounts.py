"""The ways in which the guest mounts a share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from tools.linux_guest.machine import ADDRESS

MSIZE: Final = 524288
"""The most that Linux's Xen transport can use, hence what the documentation asks for."""

DIALECTS: Final = ("9p2000.L", "9p2000.u")
CACHES: Final = ("none", "loose")


class By(Enum):
    """Whose file server it is."""

    US = "xen-fileproxy"
    QEMU = "qemu"


@dataclass(frozen=True)
class Mount:
    """One mount: whose, in which dialect, with which of Linux's cache modes."""

    by: By
    dialect: str
    cache: str

    @property
    def name(self) -> str:
        """A folder's name."""
        return f"{self.by.value}-{self.dialect.removeprefix('9p2000.')}-{self.cache}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.by.value} .{self.dialect.removeprefix('9p2000.')} cache={self.cache}"

    def command(self, where: str, mountpoint: str) -> str:
        """The guest's command; ``where`` is a port of ours, or QEMU's tag."""
        options = f"version={self.dialect},msize={MSIZE},cache={self.cache}"
        if self.by is By.QEMU:
            return f"mount -t 9p -o trans=virtio,{options} {where} {mountpoint}"
        return f"mount -t 9p -o trans=tcp,port={where},{options} {ADDRESS} {mountpoint}"


def mounts(by: tuple[By, ...], dialects: tuple[str, ...], caches: tuple[str, ...]) -> list[Mount]:
    """All combinations."""
    return [
        Mount(server, dialect, cache) for server in by for dialect in dialects for cache in caches
    ]
