"""The roots of Dom0 and of the guests: Debian's, and over it our program, modules and scripts."""

from __future__ import annotations

import shutil
import stat
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.linux_guest.initramfs import add_busybox, add_folder, add_modules
from tools.linux_guest.modules import load_order
from tools.linux_guest.newc import Archive

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tools.linux_guest.kernels import Kernel

HERE: Final = Path(__file__).parent
SOURCE: Final = HERE.parent.parent
PROGRAM: Final = "usr/lib/xen-fileproxy"
TESTS: Final = "lab/source"
"""In Dom0: the part of the source that runs there."""

_DOM0: Final = (
    *("virtio_pci", "virtio_console", "virtio_blk"),
    *("xenfs", "xen_gntdev", "xen_gntalloc", "xen_evtchn", "xen_privcmd"),
)
MOUNTS: Final = ("9p", "9pnet_xen")
"""Modules of a guest that mounts shares."""
PROGRAMS: Final = ("xen_gntdev", "xen_gntalloc", "xen_evtchn")
"""Modules of a guest in which our own frontend runs."""
TREES: Final = ("tests/contract", "tests/lab", "tools/linux_guest")
"""What Dom0 and a guest have of the source, beside the program."""

_LAUNCHER: Final = f"""\
#!/usr/bin/python3 -I
import sys

sys.path.insert(0, "/{PROGRAM}")
if __name__ == "__main__":
    from {{module}}.cli import main

    sys.exit(main())
"""
_CONFIGURATION: Final = b"""\
# Emulated processors need their time to start a worker.
[timeouts]
start = 60
"""
_COMMANDS: Final = {"xen-fileproxy": "backend", "xen-fileproxy-front": "frontend_stub"}
_PACKAGES: Final = ("protocol", "backend", "frontend_stub")


def write_mounting_guest(target: Path, kernel: Kernel) -> None:
    """A guest that mounts shares: busybox, and the kernel's own 9p client."""
    with target.open("wb") as out, Archive(out) as archive:
        add_busybox(archive)
        _add_guest(archive, kernel, MOUNTS)


def write_python_guest(
    target: Path,
    kernel: Kernel,
    root: Path,
    modules: Iterable[str] = PROGRAMS,
    trees: Iterable[str] = TREES,
) -> None:
    """A guest with Python: by default without the 9p module, for our own frontend."""
    with _over(root, target) as archive:
        _add_guest(archive, kernel, modules)
        _add_program(archive)
        _add_source(archive, trees)


def write_dom0(
    target: Path,
    kernel: Kernel,
    root: Path,
    guests: Sequence[Path],
    trees: Iterable[str] = TREES,
) -> None:
    """Dom0, with the guests' kernel and roots in ``/lab``."""
    with _over(root, target) as archive:
        archive.add("lab", stat.S_IFDIR | 0o755)
        add_modules(archive, load_order(kernel.modules, _DOM0), "lab/modules")
        for file in (kernel.image, *guests):
            name = "vmlinuz" if file == kernel.image else file.name
            archive.add(f"lab/{name}", stat.S_IFREG | 0o644, file.read_bytes())
        _add_program(archive)
        archive.add("etc/xen/xen-fileproxy.toml", stat.S_IFREG | 0o644, _CONFIGURATION)
        _add_source(archive, trees)
        archive.add("init", stat.S_IFREG | 0o755, (HERE / "dom0" / "init").read_bytes())


class _over(Archive):  # noqa: N801 -- reads as a with statement's verb
    """An archive after another: its entries take the earlier ones' place."""

    def __init__(self, root: Path, target: Path) -> None:
        self._file: Final = target.open("wb")
        with root.open("rb") as base:
            shutil.copyfileobj(base, self._file, 1 << 20)
        super().__init__(self._file)

    def __exit__(self, *failure: object) -> None:
        super().__exit__(None, None, None)
        self._file.close()


def _add_guest(archive: Archive, kernel: Kernel, modules: Iterable[str]) -> None:
    archive.add("guest", stat.S_IFDIR | 0o755)
    add_modules(archive, load_order(kernel.modules, modules), "guest/modules")
    archive.add("init", stat.S_IFREG | 0o755, (HERE / "guest" / "init").read_bytes())


def _add_program(archive: Archive) -> None:
    """The program as a package would install it: a private directory, and launchers."""
    archive.add(PROGRAM, stat.S_IFDIR | 0o755)
    for package in _PACKAGES:
        _add_tree(archive, package, PROGRAM)
    for command, module in _COMMANDS.items():
        text = _LAUNCHER.format(module=module).encode()
        archive.add(f"usr/bin/{command}", stat.S_IFREG | 0o755, text)


def _add_source(archive: Archive, trees: Iterable[str]) -> None:
    archive.add("lab", stat.S_IFDIR | 0o755)
    archive.add(TESTS, stat.S_IFDIR | 0o755)
    for tree in (*_PACKAGES, *trees):
        *above, _ = accumulate(tree.split("/"), lambda path, name: f"{path}/{name}")
        for folder in above:
            archive.add(f"{TESTS}/{folder}", stat.S_IFDIR | 0o755)
        _add_tree(archive, tree, TESTS)
    configuration = (SOURCE / "pyproject.toml").read_bytes()
    archive.add(f"{TESTS}/pyproject.toml", stat.S_IFREG | 0o644, configuration)


def _add_tree(archive: Archive, tree: str, where: str) -> None:
    archive.add(f"{where}/{tree}", stat.S_IFDIR | 0o755)
    add_folder(archive, SOURCE / tree, f"{where}/{tree}")
