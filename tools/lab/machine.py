"""The lab's machine: QEMU with Xen, and Dom0 as Xen's first module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tools.linux_guest.machine import PROCESSORS, Qemu

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tools.linux_guest.kernels import Kernel

MEMORY: Final = 6144
"""MiB of the machine; half of it is Dom0's, whose root lies in it."""


class XenMachine(Qemu):
    """A machine that runs Xen; the jobs run in Dom0."""

    def __init__(
        self,
        xen: Path,
        kernel: Kernel,
        dom0: Path,
        logs: Path,
        *,
        memory: int = MEMORY,
        processors: Sequence[str] = PROCESSORS,
        disk: Path | None = None,
    ) -> None:
        """Start it with ``memory`` MiB and wait until Dom0 is up.  Raises ``GuestError``.

        ``disk`` is Dom0's ``/dev/vda``, for reading.
        """
        modules = f"{kernel.image} console=hvc0 rdinit=/init panic=1 quiet,{dom0}"
        super().__init__(
            [
                # The default processor: with "max", Xen's Dom0 does not come up.
                *("-m", str(memory), "-kernel", str(xen)),
                *("-append", f"com1=115200,8n1 console=com1 noreboot dom0_mem={memory // 2}M"),
                *("-initrd", modules),
                *(("-drive", f"file={disk},format=raw,if=virtio,readonly=on") if disk else ()),
            ],
            logs,
            processors,
        )
