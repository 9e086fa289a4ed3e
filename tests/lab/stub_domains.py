"""HVM guests whose QEMU runs in the reference stub domain, made, saved and restored by ``xl``."""

from __future__ import annotations

import subprocess
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backend.channel.qmp import Monitor
from backend.config import Config
from backend.domains import find_domain
from backend.platform import open_platform
from backend.stubdom.state_share import MONITOR
from backend.stubdom.target import stub_domain_of
from tests.lab.guests import LAB, domains, xl

if TYPE_CHECKING:
    from typing import Self

LOGS: Final = Path("/var/log/xen")
SLOW: Final = 120
"""Seconds for what takes a few on a processor that is not emulated."""

_CONFIGURATION: Final = """\
name = "{name}"
type = "hvm"
memory = 96
vcpus = 1
device_model_version = "qemu-xen"
device_model_stubdomain_override = 1
stubdomain_kernel = "{lab}/vmlinux"
stubdomain_ramdisk = "{lab}/stubdom.cpio"
stubdomain_cmdline = "console=hvc0 rdinit=/init panic=1 quiet mitigations=off cryptomgr.notests"
stubdomain_memory = 640
vnc = 0
nographic = 1
disk = [ "format=raw,vdev=hda,access=rw,backendtype=phy,target={disk}" ]
on_reboot = "destroy"
on_crash = "destroy"
"""
COUNTER: Final = 0x600
"""Where the guest counts, in its memory: the BIOS's own data end below."""
_PROGRAM: Final = bytes.fromhex(
    "31c0 8ed8"  # xor ax, ax; mov ds, ax
    "66c7060006 00000000"  # mov dword [COUNTER], 0
    "fb"  # sti: the timer ticks 18 times a second
    "66ff060006"  # again: inc dword [COUNTER]
    "f4 ebf8"  # hlt; jmp again
)
"""The guest: what the BIOS loads from its disk's first sector and calls."""
_DISK_BYTES: Final = 1 << 20
_PLAUSIBLE: Final = 10_000
"""What a guest may have counted between two looks; what lay in that place before is no number."""


class StubbedGuest:
    """A guest and its stub domain; a context manager that destroys both, if they are there."""

    _names: Final = count(1)

    def __init__(self) -> None:
        """Create them, as ``xl create`` does: it waits until QEMU runs."""
        self.name: Final = f"stubbed{next(self._names)}"
        self._disk = _disk(self.name)
        self._seen = 0
        configuration = Path(f"/run/{self.name}.cfg")
        configuration.write_text(
            _CONFIGURATION.format(name=self.name, lab=LAB, disk=self._disk), encoding="ascii"
        )
        try:
            self._made("create", "-q", str(configuration))
        except AssertionError:
            self.end()
            raise

    def save(self, image: Path, *, going_on: bool = False) -> None:
        """``xl save``, after which both are gone; or are not, ``going_on``."""
        xl("save", *(("-c",) if going_on else ()), self.name, str(image))

    def restore(self, image: Path) -> None:
        """``xl restore``: other domains, of other numbers, go on where these were."""
        self._made("restore", str(image))

    def _made(self, *arguments: str) -> None:
        try:
            _patiently(arguments)
            with closing(open_platform("xen").store()) as store:
                self.domid = find_domain(store, self.name)
                stub_domain = stub_domain_of(store, self.domid)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.console()}") from error
        assert stub_domain is not None, xl("list")
        self.stub_domain = stub_domain

    def monitor(self) -> Monitor:
        """QEMU's, from Dom0, over the channel; nobody else has it meanwhile."""
        return Monitor.connect(f"{Config().run_dir}/{self.domid}/{MONITOR}", SLOW)

    def qmp(self, request: str, **arguments: str) -> Any:
        """Ask QEMU."""
        with self.monitor() as monitor:
            return monitor.execute(request, arguments)

    @property
    def status(self) -> str:
        """What QEMU says of its guest."""
        return str(self.qmp("query-status")["status"])

    @property
    def counted(self) -> int:
        """How far the guest has counted: QEMU reads its memory."""
        shown = self.qmp("human-monitor-command", **{"command-line": f"xp /1uw {COUNTER:#x}"})
        return int(shown.partition(":")[2])

    @property
    def counts(self) -> bool:
        """Whether it has counted since it was last asked; no, where the BIOS has not loaded it."""
        before, self._seen = self._seen, self.counted
        return before < self._seen < before + _PLAUSIBLE

    @property
    def restored_from(self) -> str:
        """SHA-256 of the state as the stub domain found it, which it says before it starts QEMU."""
        said = [line for line in self.console().splitlines() if "stubdom: restoring " in line]
        return said[-1].partition("restoring ")[2].split()[0]

    def console(self) -> str:
        """What all stub domains of that name have printed."""
        log = LOGS / f"qemu-dm-{self.name}.log"
        return log.read_text(errors="replace") if log.exists() else "no console"

    def destroy(self) -> None:
        """``xl destroy``, which takes the stub domain along; harmless if they are gone."""
        if self.name in xl("list").split():
            xl("destroy", self.name)

    @property
    def alive(self) -> bool:
        """Whether Xen still has either."""
        return bool({self.domid, self.stub_domain} & set(domains()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.end()

    def end(self) -> None:
        """Destroy it for good, with its disk."""
        self.destroy()
        subprocess.run(["losetup", "--detach", self._disk], check=True)


def _disk(name: str) -> str:
    """A disk of the guest's own, as a block device: a QEMU in Dom0 has no part in it."""
    image = Path(f"/run/{name}.img")
    image.write_bytes((_PROGRAM.ljust(510, b"\0") + b"\x55\xaa").ljust(_DISK_BYTES, b"\0"))
    attach = ["losetup", "--find", "--show", str(image)]
    return subprocess.run(attach, capture_output=True, text=True, check=True).stdout.strip()


def _patiently(arguments: tuple[str, ...]) -> None:
    """Run ``xl``, up to three times: libxl's 30 seconds are few where processors are emulated."""
    for _ in range(2):
        try:
            xl(*arguments)
        except AssertionError as error:
            if "startup timed out" not in str(error):
                raise
        else:
            return
    xl(*arguments)
