"""What is run in the guest: a table of the scripts in ``guest/workloads``."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tools.linux_guest.errors import GuestError
from tools.linux_guest.mounts import CACHES, DIALECTS, Mount

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

DOTL: Final = ("9p2000.L",)

MANY: Final = 100_000
"""Files of the large directory; ``directory.py`` counts on the same."""


@dataclass(frozen=True)
class Workload:
    """A script of ``guest/workloads`` with its arguments, run in a directory of its own."""

    name: str
    script: str
    seconds: int = 600
    """After which it counts as hung; an idle machine needs a tenth."""
    caches: tuple[str, ...] = CACHES
    dialects: tuple[str, ...] = DIALECTS
    prepare: Callable[[Path], None] | None = None
    """What Dom0 puts into the directory before."""
    compared: bool = True
    """Whether the trees are compared file by file afterwards."""

    @property
    def command(self) -> str:
        """What the guest's shell runs."""
        interpreter = "python3" if self.script.partition(" ")[0].endswith(".py") else "sh"
        return f"{interpreter} /guest/workloads/{self.script}"

    def runs_on(self, mount: Mount) -> bool:
        """Whether Linux's client can do it there at all."""
        return mount.cache in self.caches and mount.dialect in self.dialects


def many_files(directory: Path) -> None:
    """``MANY`` empty files."""
    for number in range(MANY):
        os.close(os.open(directory / f"file-{number:06}", os.O_CREAT | os.O_WRONLY))


_STRESS: Final = {
    "access": "",
    "chmod": "",
    "chown": "",
    "dentry": "--dentries 200",
    "dir": "--dir-dirs 200",
    "dirdeep": "--dirdeep-dirs 2 --dirdeep-inodes 300",
    "dirmany": "",
    "fallocate": "--fallocate-bytes 4m",
    "fcntl": "",
    "filename": "--filename-opts posix --timeout 15s",
    "flock": "",
    "fstat": "--fstat-dir .",
    "getdent": "",
    "hdd": "--hdd-bytes 8m",
    "link": "",
    "lockf": "",
    "lockofd": "",
    "mknod": "",
    "open": "--open-max 100",
    "rename": "",
    "seek": "--seek-size 4m",
    "symlink": "",
    "touch": "",
    "utime": "",
    "xattr": "--timeout 15s",
}
"""The classes of stress-ng that are about files, with options that bound them."""

_ALONE: Final = ("link", "symlink")
"""Classes whose process touches 8,192 files whatever the clock says: one is enough."""

_DOTL_ONLY: Final = ("fcntl", "flock", "fstat", "lockf", "lockofd", "rename", "xattr")
"""What needs locks, attributes, ``.`` in listings or renames between directories."""

WORKLOADS: Final[Sequence[Workload]] = (
    # Linux's client in 9P2000.u has no message for statfs, and keeps locks to nobody.
    Workload("space", "space.sh", dialects=DOTL),
    Workload("unlinked", "unlinked.py"),
    Workload("rename", "rename.py"),
    Workload("append", "append.py"),
    Workload("locks", "locks.py", dialects=DOTL),
    # Linux's client shares writable mappings only where it caches pages.
    Workload("mapping", "mapping.py", caches=("loose",)),
    Workload("remount", "remount.sh"),
    Workload("tree", "tree.py"),
    Workload("fio", "fio.sh"),
    Workload("dbench", "dbench.sh"),
    Workload("postmark", "postmark.sh"),
    Workload("git", "git.sh"),
    Workload("compile", "compile.sh"),
    Workload("directory", "directory.py", prepare=many_files, compared=False),
    *(
        Workload(
            f"stress-{name}",
            f"stress-ng.sh {name} {1 if name in _ALONE else 2} {options}",
            dialects=DOTL if name in _DOTL_ONLY else DIALECTS,
            compared=False,
        )
        for name, options in _STRESS.items()
    ),
)


def kept(directory: Path) -> dict[str, str]:
    """Variables for a workload: what we may keep in ``directory``, and its file system can."""
    try:
        os.setxattr(directory, "user.kept", b"")
    except OSError as error:
        # Linux's tmpfs has none before 6.6.
        if error.errno != errno.EOPNOTSUPP:
            raise
        attributes = False
    else:
        os.removexattr(directory, "user.kept")
        attributes = True
    return {"OWNERS": str(int(os.geteuid() == 0)), "ATTRIBUTES": str(int(attributes))}


def chosen(names: Sequence[str]) -> list[Workload]:
    """The workloads of these names, or all; ``stress`` is all of its classes."""
    known = [workload.name for workload in WORKLOADS]
    for name in names:
        if name != "stress" and name not in known:
            raise GuestError(f"no workload {name}; there are: stress {' '.join(known)}")
    return [
        workload
        for workload in WORKLOADS
        if not names
        or workload.name in names
        or ("stress" in names and workload.name.startswith("stress-"))
    ]
