"""The software under test, by Debian release: names of packages, and what they bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Stack:
    """A Debian release with its Xen and its Linux, for Dom0 and guests alike."""

    suite: str
    xen: str
    kernel: str

    @property
    def title(self) -> str:
        """For people."""
        return f"Debian {self.suite}, Xen {self.xen}, Linux {self.kernel}"

    @property
    def hypervisor(self) -> str:
        """The package with the hypervisor."""
        return f"xen-hypervisor-{self.xen}-amd64"

    @property
    def dom0(self) -> tuple[str, ...]:
        """What Dom0 has installed."""
        return (
            *(f"xen-utils-{self.xen}", "xen-utils-common", "xenstore-utils"),
            *_PYTHON,
            *("python3-rich", "python3-pytest", "python3-pytest-timeout", "python3-hypothesis"),
            *("busybox-static", "kmod", "libseccomp2", "procps", "systemd-sysv", "udev"),
            *_EMULATOR,
        )

    @property
    def guest(self) -> tuple[str, ...]:
        """What a guest that runs Python has installed."""
        return (*_PYTHON, *_LIBRARIES, "busybox-static")

    @property
    def workloads(self) -> tuple[str, ...]:
        """What a root has that a guest works in while it lies on a share."""
        return ("busybox-static", "fio", "gcc", "git", "libc6-dev", "make", "python3")


_PYTHON: Final = ("python3", "python3-cffi", "python3-construct", "python3-pyxs")
_EMULATOR: Final = ("qemu-system-xen",)
"""With what it depends on: a guest's BIOS; the keyboard's map for the QEMU that serves consoles."""
_LIBRARIES: Final = ("libxenevtchn1", "libxengnttab1", "libxentoollog1")

STACKS: Final = {
    "12": Stack("bookworm", "4.17", "6.1"),
    "13": Stack("trixie", "4.20", "6.12"),
}
