"""Everything that a machine needs: fetched and made once, kept under ``build/lab``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 -- a NamedTuple's
from typing import TYPE_CHECKING, Final, NamedTuple

from tools.lab.hypervisor import hypervisor
from tools.lab.images import SOURCE, write_dom0, write_mounting_guest, write_python_guest
from tools.linux_guest.cache import Cache
from tools.linux_guest.kernels import Kernel, kernel
from tools.linux_guest.root import root_archive

if TYPE_CHECKING:
    from tools.lab.stacks import Stack

LAB: Final = SOURCE / "build" / "lab"


class Built(NamedTuple):
    """What QEMU is given."""

    xen: Path
    kernel: Kernel
    dom0: Path
    workloads: Path | None = None
    """A root as an archive: too large for every Dom0's memory, so it is a disk."""


def build(stack: Stack, target: Path) -> Built:
    """Make the images in ``target`` from what is kept.  Raises ``GuestError``."""
    cache = Cache(LAB / "kept")
    linux = kernel(stack.kernel, cache)
    xen = hypervisor(stack, cache)
    guest_root = root_archive(cache, stack.suite, stack.guest, "minbase")
    workloads = root_archive(cache, stack.suite, stack.workloads)
    dom0_root = root_archive(cache, stack.suite, stack.dom0, "minbase")
    mounting, python = target / "mounting.cpio", target / "python.cpio"
    write_mounting_guest(mounting, linux)
    write_python_guest(python, linux, guest_root)
    write_dom0(target / "dom0.cpio", linux, dom0_root, [mounting, python])
    for guest in (mounting, python):
        guest.unlink()
    return Built(xen, linux, target / "dom0.cpio", workloads)
