"""The roots of Dom0 and of the guests: Debian's, and over it modules, scripts and tests."""

from __future__ import annotations

import shutil
import stat
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tools.linux_guest.initramfs import add_busybox, add_folder, add_modules
from tools.linux_guest.modules import load_order
from tools.linux_guest.newc import Archive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tools.linux_guest.kernels import Kernel

HERE: Final = Path(__file__).parent
SOURCE: Final = HERE.parent.parent
PROGRAM: Final = "usr/lib/xen-fileproxy"
TESTS: Final = "lab/source"
"""In Dom0: the part of the source that runs there."""

_DOM0: Final = (
    *("virtio_pci", "virtio_console", "virtio_blk"),
    *("xenfs", "xen_gntdev", "xen_gntalloc", "xen_evtchn", "xen_privcmd"),
    *("xen_netback", "xen_blkback", "loop"),
)
"""Modules that udev or Xen's init script load; one for tests that grant pages in Dom0; and one for
a guest's disk that is a file."""
MOUNTS: Final = ("9p", "9pnet_xen")
"""Modules of a guest that mounts shares."""
PROGRAMS: Final = ("xen_gntdev", "xen_gntalloc", "xen_evtchn")
"""Modules of a guest in which our own frontend runs."""
TREES: Final = (
    "tests/contract",
    "tests/end_to_end/lives.py",
    "tests/lab",
    "tools/lab/transfer",
    "tools/linux_guest",
)
"""What Dom0 and a guest have of the source, beside the program."""

_PACKAGES: Final = ("protocol", "backend", "frontend_stub")

_CONFIGURATION: Final = {
    # Emulated processors need their time to start a worker.  Stub domains are given their share.
    "etc/xen/xen-fileproxy.toml": "[timeouts]\nstart = 60\n\n[stubdom]\nauto = true\n",
    "etc/default/xen": "XENCONSOLED_ARGS=--log=guest\n",
    # Else systemd takes this for a first boot, and enables what it finds.
    "etc/machine-id": f"{'e' * 32}\n",
    # Nor is it broken because the machine that emulates it is busy.
    "etc/systemd/system.conf.d/lab.conf": (
        "[Manager]\nDefaultTimeoutStartSec=10min\nDefaultDeviceTimeoutSec=10min\n"
    ),
    "etc/modules-load.d/lab.conf": "xen-gntalloc\nloop\n",
}
"""Dom0's, where it differs from what the packages bring."""
_MASKED: Final = (
    *("getty.target", "timers.target", "systemd-user-sessions.service"),
    *("systemd-update-utmp.service", "systemd-update-utmp-runlevel.service"),
    *("modprobe@.service", "e2scrub_reap.service", "systemd-random-seed.service"),
    *("dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
)
"""What costs an emulated processor seconds: nobody logs in, there is no disk, nothing stays."""
PLAIN: Final = "plain"
SYSTEMD: Final = "systemd"
"""What Dom0's first process is: a script that starts what tests need, or all that Debian starts."""
_UNITS: Final = "etc/systemd/system"


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
    *,
    later: Iterable[str] = (),
) -> None:
    """A guest with Python: by default without the 9p module, for our own frontend.

    Modules for ``later`` are in ``/guest/later``, for who wants them.
    """
    with _over(root, target) as archive:
        _add_guest(archive, kernel, modules)
        add_modules(archive, load_order(kernel.modules, later), "guest/later")
        _add_program(archive)
        _add_source(archive, trees)


def write_dom0(
    target: Path,
    kernel: Kernel,
    root: Path,
    guests: Sequence[Path],
    trees: Iterable[str] = TREES,
    *,
    others: Mapping[str, Sequence[Path]] = MappingProxyType({}),
    installed: bool = False,
    init: str = PLAIN,
) -> None:
    """Dom0, with the guests' kernel and roots in ``/lab``; ``others`` by series, ``/lab/SERIES``.

    The program is copied, if the root does not have it ``installed``.
    """
    with _over(root, target) as archive:
        _add_files(archive, "lab", guests)
        for series, files in others.items():
            _add_files(archive, f"lab/{series}", files)
        _add_installed_modules(archive, kernel)
        if not installed:
            _add_program(archive)
        _add_source(archive, trees)
        archive.add("etc/systemd/system.conf.d", stat.S_IFDIR | 0o755)
        for name, text in _CONFIGURATION.items():
            archive.add(name, stat.S_IFREG | 0o644, text.encode())
        _add_jobs(archive)
        first = HERE / "dom0" / ("init" if init == PLAIN else f"init-{init}")
        archive.add("init", stat.S_IFREG | 0o755, first.read_bytes())


def _add_files(archive: Archive, folder: str, files: Iterable[Path]) -> None:
    archive.add(folder, stat.S_IFDIR | 0o755)
    for file in files:
        archive.add(f"{folder}/{file.name}", stat.S_IFREG | 0o644, file.read_bytes())


def _add_installed_modules(archive: Archive, kernel: Kernel) -> None:
    """Where modprobe(8) finds them, after depmod(8)."""
    folder = f"usr/lib/modules/{kernel.release}"
    archive.add("usr/lib/modules", stat.S_IFDIR | 0o755)
    archive.add(folder, stat.S_IFDIR | 0o755)
    for module, content in load_order(kernel.modules, _DOM0):
        archive.add(f"{folder}/{module}.ko", stat.S_IFREG | 0o644, content)
    for name in ("modules.builtin", "modules.order"):
        content = (kernel.modules / name).read_bytes() if name == "modules.builtin" else b""
        archive.add(f"{folder}/{name}", stat.S_IFREG | 0o644, content)


def _add_jobs(archive: Archive) -> None:
    """The unit that runs what the host sends, and what else differs in systemd."""
    archive.add("lab/jobs", stat.S_IFREG | 0o755, (HERE / "dom0" / "jobs").read_bytes())
    for file in ("lab.service", "xen-fileproxy.service.d/lab.conf"):
        for folder in Path(file).parents[:-1]:
            archive.add(f"{_UNITS}/{folder}", stat.S_IFDIR | 0o755)
        content = (HERE / "dom0" / file).read_bytes()
        archive.add(f"{_UNITS}/{file}", stat.S_IFREG | 0o644, content)
    for unit in _MASKED:
        archive.add(f"{_UNITS}/{unit}", stat.S_IFLNK | 0o777, b"/dev/null")
    wanted = f"{_UNITS}/multi-user.target.wants/lab.service"
    archive.add(wanted, stat.S_IFLNK | 0o777, b"../lab.service")


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
    """The program as the package installs it: a private directory, and launchers."""
    archive.add(PROGRAM, stat.S_IFDIR | 0o755)
    for package in _PACKAGES:
        _add_tree(archive, package, PROGRAM)
    add_folder(archive, SOURCE / "tools" / "dom0" / "bin", "usr/bin")


def _add_source(archive: Archive, trees: Iterable[str]) -> None:
    """The tests, beside which Python finds the installed program."""
    archive.add("lab", stat.S_IFDIR | 0o755)
    archive.add(TESTS, stat.S_IFDIR | 0o755)
    for package in _PACKAGES:
        archive.add(f"{TESTS}/{package}", stat.S_IFLNK | 0o777, f"/{PROGRAM}/{package}".encode())
    for tree in trees:
        *above, _ = accumulate(tree.split("/"), lambda path, name: f"{path}/{name}")
        for folder in above:
            archive.add(f"{TESTS}/{folder}", stat.S_IFDIR | 0o755)
        if (SOURCE / tree).is_dir():
            _add_tree(archive, tree, TESTS)
        else:
            archive.add(f"{TESTS}/{tree}", stat.S_IFREG | 0o644, (SOURCE / tree).read_bytes())
    configuration = (SOURCE / "pyproject.toml").read_bytes()
    archive.add(f"{TESTS}/pyproject.toml", stat.S_IFREG | 0o644, configuration)


def _add_tree(archive: Archive, tree: str, where: str) -> None:
    archive.add(f"{where}/{tree}", stat.S_IFDIR | 0o755)
    add_folder(archive, SOURCE / tree, f"{where}/{tree}")
