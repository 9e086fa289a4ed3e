"""The backends that are compared, as Dom0 runs them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backend import toolstack
from backend.platform import open_platform
from backend.share import Share
from protocol.xenpv.ids import Domid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.lab.guests import Guest
    from tests.lab.service import Service

EXPORTS: Final = Path("/run/bench")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Peer(ABC):
    """A backend with one share; the guest knows it by ``name``."""

    name: str
    title: str
    backend_class: str
    """Its devices' directory below ``backend/`` in XenStore."""

    @property
    def export(self) -> Path:
        """What it shows to the guest."""
        return EXPORTS / self.name

    @property
    def folder(self) -> str:
        """Where the guest has it."""
        return f"/mnt/{self.name}"

    def configuration(self) -> str:
        """What the guest's configuration says of it."""
        return ""

    def attach(self, guest: Guest) -> None:  # noqa: B027 -- most are attached by the configuration
        """Give the guest its device, if its configuration did not."""

    @abstractmethod
    def processes(self, guest: Guest) -> list[int]:
        """The processes that serve this guest and no other."""

    def mount(self, guest: Guest, options: str) -> None:
        """Mount it in the guest."""
        options = f"trans=xen,msize=524288,{options}"
        guest.check(f"mkdir -p {self.folder} && mount -t 9p -o {options} {self.name} {self.folder}")


class Ours(Peer):
    """This program."""

    name = "ours"
    title = "xen-fileproxy"
    backend_class = "xen_9pfs"

    def __init__(self, service: Service) -> None:
        self._service: Final = service

    def attach(self, guest: Guest) -> None:
        """Without the command line, whose start is not the device's."""
        self.attach_directory(guest, self.export, self.name)

    def attach_directory(self, guest: Guest, export: Path, tag: str) -> None:
        """A device more."""
        with closing(open_platform("xen").store()) as store:
            toolstack.attach(store, Domid(0), guest.domid, Share(path=str(export)), tag)

    def processes(self, guest: Guest) -> list[int]:
        return self.workers(guest, self.name)

    def workers(self, guest: Guest, tag: str = "") -> list[int]:
        """The workers of the guest's devices, or of the one that is called ``tag``."""
        return [
            device["pid"]
            for device in self._service.devices()
            if device["domid"] == guest.domid and tag in ("", device["tag"])
        ]

    def shared_processes(self) -> list[int]:
        """Those that all guests have in common: the supervisor, and what forks the workers."""
        return [self._service.pid, *children(self._service.pid)]


class Qemu(Peer):
    """QEMU's backend, one QEMU for each guest, which libxl starts."""

    name = "theirs"
    title = "QEMU"
    backend_class = "9pfs"

    def configuration(self) -> str:
        return f'p9 = ["tag={self.name},path={self.export},security_model=none"]\n'

    def processes(self, guest: Guest) -> list[int]:
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdecimal():
                words = _words(process)
                if "-xen-domid" in words and words[words.index("-xen-domid") + 1] == str(
                    guest.domid
                ):
                    found.append(int(process.name))
        return found


def children(pid: int) -> list[int]:
    """A process's children, whichever of its threads has them."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def cpu(pids: Iterable[int]) -> float:
    """Seconds of CPU that processes have taken, their threads' that have ended included."""
    return sum(map(_cpu, pids))


def _words(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu(pid: int) -> float:
    # The name, in parentheses, may contain anything; utime and stime are fields 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
