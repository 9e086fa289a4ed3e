"""Everything that a machine needs: fetched and made once, kept under ``build/lab``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 -- a NamedTuple's
from typing import TYPE_CHECKING, Final, NamedTuple

from tools.lab.hypervisor import hypervisor
from tools.lab.images import SOURCE, write_dom0, write_mounting_guest, write_python_guest
from tools.lab.package import installed, package
from tools.linux_guest.cache import Cache
from tools.linux_guest.kernels import SUITE_OF, Kernel, kernel
from tools.linux_guest.root import root_archive, root_tarball
from tools.stubdom.image import compressed_root, write_initramfs

if TYPE_CHECKING:
    from tools.lab.stacks import Stack

LAB: Final = SOURCE / "build" / "lab"


class Built(NamedTuple):
    """What QEMU is given."""

    xen: Path
    kernel: Kernel
    dom0: Path
    workloads: Path | None = None
    """A root as an archive: too large for every Dom0's memory, so it is a disk, for reading."""


def build(stack: Stack, target: Path, init: str) -> Built:
    """Make the images in ``target`` from what is kept.  Raises ``GuestError``."""
    cache = Cache(LAB / "kept")
    linux = kernel(stack.kernel, cache)
    xen = hypervisor(stack, cache)
    tarball = root_tarball(cache, stack.suite, stack.dom0)
    python_root = root_archive(cache, stack.suite, stack.guest, "minbase")
    workloads = root_archive(cache, stack.suite, stack.workloads)
    mounting, python = target / "mounting.cpio", target / "python.cpio"
    write_mounting_guest(mounting, linux)
    write_python_guest(python, linux, python_root)
    stub_domain = target / "stubdom.cpio"
    write_initramfs(stub_domain, linux, compressed_root(cache, stack.suite))
    others = {}
    for series in SUITE_OF.keys() - {stack.kernel}:
        other, root = kernel(series, cache), target / series / mounting.name
        root.parent.mkdir()
        write_mounting_guest(root, other)
        others[other] = [root]
    print("  building and installing our package", flush=True)
    root = installed(target, tarball, package(target))
    dom0 = target / "dom0.cpio"
    guests = [mounting, python, stub_domain]
    write_dom0(dom0, linux, root, guests, others=others, installed=True, init=init)
    for part in (root, *guests):
        part.unlink()
    return Built(xen, linux, dom0, workloads)
