"""The backends that are compared, as Dom0 runs them."""

from __future__ import annotations

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backend import toolstack
from backend.hook import Hook, state
from backend.hook.claim import clear_stale, is_claimed
from backend.hook.daemon import IN_ORDER
from backend.platform import open_platform
from backend.share import Share
from protocol.xenpv.ids import DOM0
from tests.lab.service import LOG, Service, until

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from tests.lab.guests import Guest

EXPORTS: Final = Path("/run/bench")
_OPEN_FILES: Final = 64
"""Xen's own daemon has no more than 5 by default."""
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

    @abstractmethod
    def processes(self, guest: Guest) -> list[int]:
        """The processes that serve this guest and no other."""

    def shared_processes(self) -> list[int]:
        """Those that all guests have in common."""
        return []

    def mounting(self, options: str) -> str:
        """The guest's command that mounts it."""
        options = f"trans=xen,msize=524288,{options}"
        return f"mkdir -p {self.folder} && mount -t 9p -o {options} {self.name} {self.folder}"


class HotPlugged(Peer):
    """A backend whose devices a running guest can be given."""

    backend_class = "xen_9pfs"

    def configuration(self) -> str:
        return (
            f'p9 = ["type=xen_9pfsd,tag={self.name},path={self.export},security_model=none,'
            f'max-open-files={_OPEN_FILES}"]\n'
        )

    def ended_by(self) -> str:
        """What ended it, if it does not run any more."""
        return ""

    def attach(self, guest: Guest, tag: str) -> None:
        """A device more, without the command line, whose start is not the device's."""
        with closing(open_platform("xen").store()) as store:
            toolstack.attach(store, DOM0, guest.domid, Share(path=str(self.export)), tag)


class Ours(HotPlugged):
    """This program."""

    name = "ours"
    title = "xen-fileproxy"

    def __init__(self, service: Service) -> None:
        self._service: Final = service

    def processes(self, guest: Guest) -> list[int]:
        """The workers of the guest's devices."""
        return [
            device["pid"] for device in self._service.devices() if device["domid"] == guest.domid
        ]

    def shared_processes(self) -> list[int]:
        """The supervisor, and what forks the workers."""
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


class Daemon(HotPlugged):
    """Xen's own daemon, one for all guests; a context manager, while which it serves alone."""

    name = "theirs"
    title = "xen-9pfsd"

    def __init__(self) -> None:
        """Start it as libxl does, and wait until it serves."""
        (place,) = (place for place, hook in state().items() if hook is Hook.THEIRS)
        with LOG.open("ab") as log:
            self._process: Final = subprocess.Popen([f"{place}/xen-9pfsd"], stdout=log, stderr=log)
        with closing(open_platform("xen").store()) as store:
            until(lambda: is_claimed(store, DOM0), 60, "xen-9pfsd does not serve")

    def ended_by(self) -> str:
        status = self._process.poll()
        if status is None:
            return ""
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"

    def processes(self, guest: Guest) -> list[int]:
        del guest
        return []

    def shared_processes(self) -> list[int]:
        return [self._process.pid]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        """End it in order, if it runs, and remove what it left if it did not end so."""
        self._process.send_signal(IN_ORDER)
        self._process.wait(60)
        with closing(open_platform("xen").store()) as store:
            clear_stale(store, DOM0)


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
