"""All entries of the table at the end of the kernel's mount: one boot of a Linux guest."""

from __future__ import annotations

import contextlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from tools.linux_guest.cache import Cache
from tools.linux_guest.errors import GuestError
from tools.linux_guest.initramfs import write_initramfs
from tools.linux_guest.kernels import kernel
from tools.linux_guest.machine import Forward, Machine
from tools.linux_guest.mounts import DIALECTS, By, Mount
from tools.linux_guest.root import root_archive
from tools.linux_guest.server import Server
from tools.qemu_ways.channel_client import connected
from tools.qemu_ways.chardevs import Chardev
from tools.qemu_ways.in_guest import FULL, SHARE
from tools.qemu_ways.mount_end import Mounted
from tools.qemu_ways.qemu import DEADLINE, WayError
from tools.qemu_ways.shares import Shares, cell, shares
from tools.qemu_ways.stand import CHANNEL
from tools.qemu_ways.states import Way

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.qemu_ways.shares import Entry
    from tools.qemu_ways.versions import Version

PACKAGES: Final = ("busybox-static", "python3", "qemu-system-x86", "socat")
SOURCE: Final = ("backend/channel", "tools/qemu_ways")
"""What the guest's half is made of."""

_PORTS: Final = {SHARE: 5640, FULL: 5641}
_SECONDS: Final = int(DEADLINE)
_MOUNT: Final = Mount(By.US, DIALECTS[0], "none")


class Guest:
    """A running guest that has both shares mounted."""

    def __init__(self, machine: Machine, version: tuple[int, int], dom0: Shares) -> None:
        self.version: Final = version
        self._machine: Final = machine
        self._dom0: Final = dom0

    def outcome(self, entry: Entry) -> str:
        """What came of it, in words for the table.  Raises ``WayError``, ``GuestError``."""
        if reason := entry.not_for(self.version, Mounted.name):
            return reason
        if isinstance(entry, Way):
            self._dom0.check(entry, self._run(entry))
        elif isinstance(entry, Chardev):
            with ThreadPoolExecutor() as pool:
                guest = pool.submit(self._run, entry)
                try:
                    entry.talk(self._dom0.socket)
                finally:
                    guest.result()
        elif entry.fatal:
            self._end(entry)
            return cell("", self._dom0.found(entry))
        else:
            return cell(self._run(entry), self._dom0.found(entry))
        return "ok"

    def _run(self, entry: Entry) -> Any:  # noqa: ANN401 -- JSON
        script = f"cd /source && PYTHONPATH=. exec python3 -m tools.qemu_ways.in_guest {entry.name}"
        job = self._machine.run(script, _SECONDS)
        last = job.output.strip().rpartition("\n")[2]
        if job.status:
            raise WayError(f"status {job.status}: {job.output.strip()}")
        return json.loads(last)

    def _end(self, entry: Entry) -> None:
        """Switch the guest off as soon as it says so."""
        with ThreadPoolExecutor() as pool:
            guest = pool.submit(self._run, entry)
            with connected(self._dom0.socket(CHANNEL)) as client:
                client.recv(1)
                self._machine.kill()
            if not isinstance(guest.exception(), GuestError):
                raise WayError("the guest has an answer after its end")


@contextlib.contextmanager
def guest(version: Version, logs: Path) -> Iterator[Guest]:
    """A guest that is up, with that QEMU in it.  Raises ``GuestError``."""
    cache = Cache()
    linux = kernel(version.kernel, cache)
    root = root_archive(cache, version.suite, PACKAGES)
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        dom0 = stack.enter_context(shares())
        write_initramfs(dom0.folder / "initramfs", linux, root, SOURCE)
        served = {
            SHARE: (None, dom0.options()),
            FULL: (dom0.full, dom0.full_options()),
        }
        forwards = []
        for place, (directory, options) in served.items():
            socket = dom0.folder / f"{place.name}.9p"
            log = logs / f"serve-{place.name}.log"
            stack.enter_context(Server(directory, socket, log, options))
            forwards.append(Forward(_PORTS[place], socket))
        machine = stack.enter_context(Machine(linux, dom0.folder / "initramfs", logs, forwards))
        mounts = [
            f"mkdir -p {place} && {_MOUNT.command(str(port), str(place))}"
            for place, port in _PORTS.items()
        ]
        terminals = "mkdir -p /dev/pts && mount -t devpts devpts /dev/pts"
        job = machine.run(" && ".join([terminals, *mounts]))
        if job.status:
            raise GuestError(f"the guest cannot mount: {job.output}")
        yield Guest(machine, version.number, dom0)
