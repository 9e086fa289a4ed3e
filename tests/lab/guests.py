"""Guests that ``xl`` makes, and a line to each: its console.  This runs in the lab's Dom0."""

from __future__ import annotations

import base64
import contextlib
import os
import select
import subprocess
import time
import tty
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from backend.domains import find_domain
from backend.platform import open_platform
from tests.lab.service import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

LAB: Final = Path("/lab")
OWN: Final = ".".join(os.uname().release.split(".")[:2])
"""The series of Dom0's kernel."""
KERNELS: Final = ("6.1", "6.12")
"""The series that a guest can have."""
BOOT_SECONDS: Final = 300.0
GRACE: Final = 60.0
_ATTEMPTS: Final = 3
_CREATING: Final = Lock()
"""libxl gives a console ten seconds to appear, which are few for one emulated processor where five
guests are made at once: they boot at the same time, but are made one after the other."""
_PATCHING: Final = "text_poke_early"
"""Where Linux patches its own code while it starts.  As in Dom0 (``tools.lab.machine``) an emulated
processor now and then runs into what is only half there, and the kernel panics."""

_CONFIGURATION: Final = """\
name = "{name}"
type = "pv"
kernel = "{lab}/vmlinux"
ramdisk = "{lab}/{root}"
extra = "console=hvc0 rdinit=/init panic=1 quiet loglevel=3 mitigations=off cryptomgr.notests"
memory = {memory}
vcpus = 1
on_crash = "destroy"
"""


@dataclass(frozen=True)
class Root:
    """What a guest boots: an archive beside its kernel, and the MiB that it needs."""

    file: str
    memory: int


MOUNTING: Final = Root("mounting.cpio", 256)
"""Busybox, and the kernel's 9p client."""
PYTHON: Final = Root("python.cpio", 768)
"""Python with what the frontend needs, and no 9p client; for Dom0's own kernel."""


@dataclass(frozen=True)
class Job:
    """What a script in the guest came to."""

    status: int
    output: str


class Guest:
    """A running guest; a context manager that destroys it, if it is still there."""

    _names: Final = count(1)

    def __init__(self, root: Root = MOUNTING, more: str = "", *, kernel: str = OWN) -> None:
        """Create it, with ``more`` lines of configuration, and wait until it is up."""
        self.name: Final = f"lab{next(self._names)}"
        configuration = Path(f"/run/{self.name}.cfg")
        lab = LAB if kernel == OWN else LAB / kernel
        configuration.write_text(
            _CONFIGURATION.format(name=self.name, lab=lab, root=root.file, memory=root.memory)
            + more
        )
        self._numbers = count(1)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._boot(configuration)
            except AssertionError as error:
                if attempt == _ATTEMPTS or _PATCHING not in str(error):
                    raise
                until(lambda: not self.alive, GRACE, f"{self.name} does not go")
            else:
                break

    def _boot(self, configuration: Path) -> None:
        with _CREATING:
            xl("create", "-q", str(configuration))
        with closing(open_platform("xen").store()) as store:
            self.domid = find_domain(store, self.name)
        self._received = b""
        self._passed_over: deque[str] = deque(maxlen=100)
        self._tty = os.open(self._console(), os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._tty)
        try:
            self._line("#ready", BOOT_SECONDS)
        except BaseException:
            self.destroy()
            raise

    def _console(self) -> str:
        """The terminal in Dom0 that xenconsoled makes of the guest's console."""
        path = f"/local/domain/{self.domid}/console/tty"
        with closing(open_platform("xen").store()) as store:
            store.watch(path, "tty")
            while True:
                try:
                    return store.read(path).decode()
                except FileNotFoundError:
                    assert select.select([store.fileno()], [], [], 20)[0], "no console"
                    store.events()

    def run(self, script: str, seconds: int = 60) -> Job:
        """Run a shell script in the guest."""
        return self.finish(self.begin(script, seconds), seconds)

    def check(self, script: str, seconds: int = 60) -> str:
        """Run a script that must succeed; its output."""
        job = self.run(f"set -e\n{script}", seconds)
        assert job.status == 0, f"{self.name}: {script}: status {job.status}:\n{job.output}"
        return job.output

    def begin(self, script: str, seconds: int = 60) -> int:
        """Start a script; the job's number."""
        number = next(self._numbers)
        encoded = base64.b64encode(script.encode()).decode()
        self.send(f"#{number} {seconds} {encoded}")
        return number

    def finish(self, number: int, seconds: int = 60) -> Job:
        """Wait for a job's end."""
        status, _, output = self._line(f"#{number} ", seconds + GRACE).partition(" ")
        return Job(int(status), base64.b64decode(output).decode(errors="replace"))

    def send(self, line: str) -> None:
        """Write a line to the console."""
        data = f"{line}\n".encode()
        while data:
            data = data[os.write(self._tty, data) :]

    def line(self, seconds: float) -> str:
        """The console's next line, whosever it is."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            ready = select.select([self._tty], [], [], max(0, deadline - time.monotonic()))[0]
            # A terminal whose other end is closed is ready for ever, and has nothing.
            received = os.read(self._tty, 1 << 16) if ready else b""
            assert received, f"{self.name} {'is gone' if ready else 'is silent'}; {self._said()}"
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        return line.decode(errors="replace").strip("\r")

    def _line(self, start: str, seconds: float) -> str:
        """The rest of the next line that begins so."""
        deadline = time.monotonic() + seconds
        while True:
            line = self.line(max(0, deadline - time.monotonic()))
            if line.startswith(start):
                return line.removeprefix(start)
            self._passed_over.append(line)
            assert time.monotonic() < deadline, f"{self.name} says other things; {self._said()}"

    def _said(self) -> str:
        return "\n".join(["on its console:", *self._passed_over, repr(self._received[-500:])])

    @property
    def destroyed(self) -> bool:
        """Whether ``destroy`` was called: to ask Xen takes a process."""
        return self._tty < 0

    @property
    def alive(self) -> bool:
        """Whether Xen still has it, be it only because somebody holds its pages."""
        return self.domid in domains()

    def destroy(self) -> None:
        """End it at once; harmless if it is gone."""
        if self._tty >= 0:
            os.close(self._tty)
            self._tty = -1
        try:
            xl("destroy", str(self.domid))
        except AssertionError:
            if self.alive:  # or it has gone by itself
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.destroy()


@contextlib.contextmanager
def together(number: int) -> Iterator[list[Guest]]:
    """So many guests, booted at the same time."""
    with contextlib.ExitStack() as undo, ThreadPoolExecutor(number) as pool:
        booting = [pool.submit(Guest) for _ in range(number)]
        wait(booting)
        up = [undo.enter_context(guest.result()) for guest in booting if not guest.exception()]
        for guest in booting:
            guest.result()
        yield up


def xl(*arguments: str) -> str:
    """Run ``xl``; its output."""
    done = subprocess.run(["xl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"xl {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def domains() -> list[int]:
    """All domains that Xen has, those too that are dying."""
    return [int(line.split()[-5]) for line in xl("list").splitlines()[1:]]
