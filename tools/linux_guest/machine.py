"""The guest as a process: QEMU with a kernel, its root, the way to our server, and a line to it.

The network is QEMU's own user-mode one, closed (``restrict=on``): the guest reaches the forwarded
addresses and nothing else.  Each forwarded address is one unix socket of a 9P server, connected
once, when QEMU starts: unmounting and mounting again is a second Tversion on the same connection.
"""

from __future__ import annotations

import base64
import select
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tools.linux_guest.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tools.linux_guest.kernels import Kernel

QEMU: Final = "qemu-system-x86_64"
PROCESSORS: Final = ("-accel", "tcg,thread=multi", "-smp", "2")
ADDRESS: Final = "10.0.2.100"
"""Where the guest finds what is forwarded."""
BOOT_SECONDS: Final = 600.0
"""Ten are enough on an idle machine, forty for a Dom0."""
GRACE: Final = 60.0
"""Seconds that a job's end may be late before the guest counts as hung."""


@dataclass(frozen=True)
class Forward:
    """TCP ``port`` of ``ADDRESS`` leads to the unix socket."""

    port: int
    socket: Path


@dataclass(frozen=True)
class Peer:
    """A directory that QEMU's own 9p server shows, over virtio, under ``tag``."""

    tag: str
    path: Path
    security_model: str = "none"


@dataclass(frozen=True)
class Job:
    """What a script in the guest came to.  124 and 137 are statuses of a timeout."""

    status: int
    output: str
    seconds: float


class Qemu:
    """A running QEMU with a line to what runs in it; a context manager that ends it."""

    def __init__(
        self, arguments: Sequence[str], logs: Path, processors: Sequence[str] = PROCESSORS
    ) -> None:
        """Start it and wait until it is up.  Raises ``GuestError``."""
        self._logs: Final = logs
        self.console: Final = logs / "console.log"
        ours, theirs = socket.socketpair()
        with theirs, (logs / "qemu.log").open("wb") as log:
            self._process: Final = subprocess.Popen(
                [
                    QEMU,
                    *("-machine", "pc", *processors),
                    *("-nodefaults", "-display", "none", "-no-reboot"),
                    *("-serial", f"file:{self.console}"),
                    *_line(theirs.fileno()),
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
            )
        self._line: Final = ours
        self._received = b""
        try:
            self.release: Final = self._answer(BOOT_SECONDS).removeprefix("ready ")
        except BaseException:
            self.close()
            raise

    def run(self, script: str, seconds: int = 60) -> Job:
        """Run a shell script in the guest.  Raises ``GuestError`` where no answer comes."""
        encoded = base64.b64encode(script.encode()).decode()
        start = time.monotonic()
        try:
            self._line.sendall(f"{seconds} {encoded}\n".encode())
        except BrokenPipeError:
            raise GuestError(self._silence("has ended")) from None
        status, _, output = self._answer(seconds + GRACE).partition(" ")
        elapsed = time.monotonic() - start
        return Job(int(status), base64.b64decode(output).decode(errors="replace"), elapsed)

    def _answer(self, seconds: float) -> str:
        """The next line from the guest."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._line], [], [], max(left, 0))
            received = self._line.recv(1 << 20) if ready else b""
            if not received:
                raise GuestError(self._silence("has ended" if ready else "does not answer"))
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        return line.decode()

    def _silence(self, what: str) -> str:
        said = (self._logs / "qemu.log").read_text(errors="replace").strip()
        last = ""
        if self.console.exists():
            last = "\n".join(self.console.read_text(errors="replace").splitlines()[-15:])
        return "\n".join(filter(None, [f"the guest {what}; its log is {self.console}", said, last]))

    def kill(self) -> None:
        """Switch it off, as a power cut does: whoever waits for an answer gets a ``GuestError``."""
        self._process.kill()

    def close(self) -> None:
        """Switch it off."""
        self._line.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Machine(Qemu):
    """A running guest."""

    def __init__(
        self,
        kernel: Kernel,
        initramfs: Path,
        logs: Path,
        forwards: Sequence[Forward],
        *,
        peers: Sequence[Peer] = (),
        memory: int = 3072,
    ) -> None:
        """Start it and wait until it is up; ``memory`` in MiB.  Raises ``GuestError``."""
        arguments = [
            *("-m", str(memory), "-kernel", str(kernel.image), "-initrd", str(initramfs)),
            *("-append", "console=ttyS0 panic=-1 mitigations=off sysrq_always_enabled"),
            *_network(forwards),
            *_peers(peers),
        ]
        super().__init__(arguments, logs)


def _line(descriptor: int) -> list[str]:
    return [
        *("-device", "virtio-serial-pci"),
        *("-chardev", f"socket,id=line,fd={descriptor}"),
        *("-device", "virtserialport,chardev=line,name=line"),
    ]


def _network(forwards: Sequence[Forward]) -> list[str]:
    rules, chardevs = "", []
    for forward in forwards:
        name = f"forward{forward.port}"
        rules += f",guestfwd=tcp:{ADDRESS}:{forward.port}-chardev:{name}"
        chardevs += ["-chardev", f"socket,id={name},path={forward.socket}"]
    return [
        *chardevs,
        *("-netdev", f"user,id=net,restrict=on,ipv6=off{rules}"),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
    ]


def _peers(peers: Sequence[Peer]) -> list[str]:
    arguments = []
    for peer in peers:
        model = f"security_model={peer.security_model},multidevs=remap"
        arguments += ["-fsdev", f"local,id={peer.tag},path={peer.path},{model}"]
        arguments += ["-device", f"virtio-9p-pci,fsdev={peer.tag},mount_tag={peer.tag}"]
    return arguments
