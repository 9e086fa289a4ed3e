"""The lab's machine: QEMU with Xen, and Dom0 as Xen's first module."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.lab.build import LAB, Built
from tools.linux_guest.errors import GuestError
from tools.linux_guest.machine import PROCESSORS, Qemu
from tools.linux_guest.programs import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MEMORY: Final = 6144
"""MiB of the machine; half of it is Dom0's, whose root lies in it."""
_XEN_OPTIONS: Final = "com1=115200,8n1 console=com1 spec-ctrl=no"
"""An emulated processor does not speculate, and what guards against it costs a third of a fork:
Xen, Dom0 and guests leave it out."""
BESIDE_OTHERS: Final = ("-accel", "tcg", "-smp", "1")
"""The processor of a machine that is not alone: with two each, emulated processors wait for
others that do not run, and two machines take as long as one after the other."""
_ATTEMPTS: Final = 3


class XenMachine(Qemu):
    """A machine that runs Xen; the jobs run in Dom0."""

    def __init__(self, built: Built, logs: Path, memory: int, processors: Sequence[str]) -> None:
        """Start it with ``memory`` MiB and wait until Dom0 is up.  Raises ``GuestError``."""
        modules = (
            f"{built.kernel} console=hvc0 rdinit=/init panic=1 quiet mitigations=off "
            f"cryptomgr.notests,{built.dom0}"
        )
        disk = built.workloads
        super().__init__(
            [
                # The default processor, with what Xen wants for an HVM guest: with "max", Dom0 does
                # not come up.
                *("-cpu", "qemu64,+svm,+npt"),
                *("-m", str(memory), "-kernel", str(built.xen)),
                *("-append", f"{_XEN_OPTIONS} dom0_mem={memory // 2}M"),
                *("-initrd", modules),
                *(("-drive", f"file={disk},format=raw,if=virtio,readonly=on") if disk else ()),
            ],
            logs,
            processors,
        )


@contextlib.contextmanager
def started(
    build: Callable[[Path], Built],
    logs: Path,
    *,
    memory: int = MEMORY,
    processors: Sequence[str] = PROCESSORS,
) -> Iterator[XenMachine]:
    """A machine that is up, of what ``build`` makes in a folder.  Raises ``GuestError``."""
    with made(build) as built, booted(built, logs, memory=memory, processors=processors) as machine:
        yield machine


@contextlib.contextmanager
def made(build: Callable[[Path], Built]) -> Iterator[Built]:
    """What ``build`` makes in a folder.  Raises ``GuestError``."""
    require("qemu-system-x86_64", "mmdebstrap", "zstd")
    LAB.mkdir(parents=True, exist_ok=True)
    # Beside what is kept, not in /tmp, which may lie in memory.
    with tempfile.TemporaryDirectory(prefix="run-", dir=LAB) as scratch:
        yield build(Path(scratch))


@contextlib.contextmanager
def booted(
    built: Built,
    logs: Path,
    *,
    memory: int = MEMORY,
    processors: Sequence[str] = PROCESSORS,
) -> Iterator[XenMachine]:
    """A machine that is up; its logs are in ``logs``, and nothing older.  Raises ``GuestError``."""
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    start = time.monotonic()
    with _booted(built, logs, memory, processors) as machine:
        # Not on standard output, where a result may be read by a script.
        print(f"  Dom0 is up after {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        yield machine


def _booted(built: Built, logs: Path, memory: int, processors: Sequence[str]) -> XenMachine:
    """A machine that is up, perhaps at the second or third try.  Raises ``GuestError``.

    Linux patches its own code while it starts.  Where two processors are emulated, one of them now
    and then runs into a breakpoint of that which is there no more, and Dom0 crashes (seen with
    Linux 6.12, once in some dozens of starts).  Xen then resets the machine, which ends QEMU.
    """
    for attempt in range(1, _ATTEMPTS):
        try:
            return XenMachine(built, logs, memory, processors)
        except GuestError:
            console = logs / "console.log"
            if not console.exists():
                raise  # QEMU itself did not start
            kept = console.rename(logs / f"console-{attempt}.log")
            print(f"  Dom0 did not come up ({kept}); once more", file=sys.stderr, flush=True)
    return XenMachine(built, logs, memory, processors)
