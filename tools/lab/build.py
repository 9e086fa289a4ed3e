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
from tools.linux_guest.vmlinux import vmlinux
from tools.stubdom.image import compressed_root, write_initramfs

if TYPE_CHECKING:
    from tools.lab.stacks import Stack

LAB: Final = SOURCE / "build" / "lab"
_LIBRARIES: Final = "usr/lib/x86_64-linux-gnu"
_NO_USE_TO_PYTHON: Final = (
    *("usr/bin/perl", "usr/share/perl", f"{_LIBRARIES}/perl", f"{_LIBRARIES}/libperl"),
    *("usr/lib/apt", f"{_LIBRARIES}/gconv", "usr/share/zoneinfo", "var/lib/dpkg"),
)
"""Half of what such a guest would have to unpack each time it boots."""


class Built(NamedTuple):
    """What QEMU is given."""

    xen: Path
    kernel: Path
    """Dom0's, unpacked: Xen would do it, but takes longer."""
    dom0: Path
    workloads: Path | None = None
    """A root as an archive: too large for every Dom0's memory, so it is a disk, for reading."""


class Kept(NamedTuple):
    """What takes minutes to fetch and make, and is the same from run to run."""

    xen: Path
    linux: Kernel
    others: tuple[Kernel, ...]
    """Other kernels that a guest can have."""
    dom0: Path
    python: Path
    workloads: Path
    stub_domain: Path


def keep(stack: Stack) -> Kept:
    """Fetch and make what is not there yet.  Raises ``GuestError``."""
    cache = Cache(LAB / "kept")
    return Kept(
        linux=kernel(stack.kernel, cache),
        xen=hypervisor(stack, cache),
        dom0=root_tarball(cache, stack.suite, stack.dom0),
        python=root_archive(cache, stack.suite, stack.guest, "minbase", _NO_USE_TO_PYTHON),
        workloads=root_archive(cache, stack.suite, stack.workloads),
        stub_domain=compressed_root(cache, stack.suite),
        others=tuple(kernel(series, cache) for series in SUITE_OF.keys() - {stack.kernel}),
    )


def build(stack: Stack, target: Path, init: str) -> Built:
    """Make the images in ``target`` from what is kept.  Raises ``GuestError``."""
    kept = keep(stack)
    linux = kept.linux
    mounting, python = target / "mounting.cpio", target / "python.cpio"
    write_mounting_guest(mounting, linux)
    write_python_guest(python, linux, kept.python)
    stub_domain = target / "stubdom.cpio"
    write_initramfs(stub_domain, linux, kept.stub_domain)
    others = {}
    for other in kept.others:
        root = target / other.series / mounting.name
        root.parent.mkdir()
        write_mounting_guest(root, other)
        others[other.series] = [unpacked(other, root.parent), root]
    print("  building and installing our package", flush=True)
    root = installed(target, kept.dom0, package(target))
    dom0 = target / "dom0.cpio"
    image, guests = unpacked(linux, target), [mounting, python, stub_domain]
    write_dom0(dom0, linux, root, [image, *guests], others=others, installed=True, init=init)
    for part in (root, *guests):
        part.unlink()
    return Built(kept.xen, image, dom0, kept.workloads)


def unpacked(kernel: Kernel, target: Path) -> Path:
    """The kernel as an ELF file in ``target``.  Raises ``GuestError``."""
    path = target / "vmlinux"
    path.write_bytes(vmlinux(kernel.image))
    return path
