"""A guest's two ends of a share, as QEMU can be given them: the kernel's mount, and our frontend.

Each end offers the same: a command for ``exec:``, a descriptor for ``fd:`` and fdsets, a path that
QEMU opens itself, and somebody who talks to QEMU's socket.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from tools.qemu_ways.qemu import DEADLINE, Stream, WayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Self


class Gone(Exception):  # noqa: N818 -- what happens to the guest is no fault of anybody's
    """The guest has ended."""


class Bridge(Protocol):
    """What joins a channel to a chardev."""

    def terminal(self) -> str:
        """The path of the terminal that ``pty`` has made."""

    def finish(self) -> None:
        """Wait until the last client has left.  Raises ``WayError`` where that is a failure."""


class End(Protocol):
    """What a way of QEMU's can use; ``name`` is a file of the share throughout."""

    def writer(self, name: str) -> str:
        """A shell's command that stores its input."""

    def reader(self, name: str) -> str:
        """A shell's command that prints the file."""

    def to_write(self, name: str, *, truncate: bool = True) -> AbstractContextManager[int]:
        """A descriptor; what was written is stored when the block has ended.

        Of a file that is there, it writes over the old content or, without ``truncate``, into it.
        """

    def to_read(self, name: str) -> AbstractContextManager[int]:
        """A descriptor."""

    def path_to_write(self, name: str) -> AbstractContextManager[str]:
        """A path; what was written there is stored when the block has ended."""

    def path_to_read(self, name: str) -> AbstractContextManager[str]:
        """A path."""

    def receiving(self, name: str, address: str) -> AbstractContextManager[None]:
        """Somebody stores what QEMU sends to the address, until the block has ended.

        It may be some time until he listens there.
        """

    def sending(self, name: str, address: str) -> AbstractContextManager[None]:
        """Somebody sends QEMU the file, as soon as it listens at the address."""

    def bridge(
        self,
        channel: str,
        address: str,
        *,
        listen: bool = False,
        clients: int = 1,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = subprocess.PIPE,
    ) -> AbstractContextManager[Bridge]:
        """A channel joined to an address of the frontend's ``bridge``, for so many clients."""

    def await_dom0(self, channel: str) -> None:
        """Wait for a client of the channel, and until it has left."""

    def end_guest(self, channel: str) -> NoReturn:
        """The guest ends at once, with all that runs in it.  Raises ``Gone`` where it is none."""


class Mounted:
    """Through the kernel's mount, and ``socat`` where QEMU wants a socket."""

    name = "mount"

    def __init__(self, directory: Path, scratch: Path) -> None:
        self._directory: Final = directory
        self._scratch: Final = scratch

    def writer(self, name: str) -> str:
        """See ``End``."""
        return f"cat > {self._directory}/{name}"

    def reader(self, name: str) -> str:
        """See ``End``."""
        return f"cat {self._directory}/{name}"

    @contextlib.contextmanager
    def to_write(self, name: str, *, truncate: bool = True) -> Iterator[int]:
        """See ``End``."""
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if truncate else 0)
        with _opened(self._directory / name, flags) as descriptor:
            yield descriptor

    @contextlib.contextmanager
    def to_read(self, name: str) -> Iterator[int]:
        """See ``End``."""
        with _opened(self._directory / name, os.O_RDONLY) as descriptor:
            yield descriptor

    @contextlib.contextmanager
    def path_to_write(self, name: str) -> Iterator[str]:
        """See ``End``."""
        yield str(self._directory / name)

    path_to_read = path_to_write

    @contextlib.contextmanager
    def receiving(self, name: str, address: str) -> Iterator[None]:
        """See ``End``."""
        target = f"OPEN:{self._directory}/{name},creat,trunc"
        with _ending(["socat", "-u", _socat(address, listen=True), target]):
            yield

    @contextlib.contextmanager
    def sending(self, name: str, address: str) -> Iterator[None]:
        """See ``End``."""
        source = f"OPEN:{self._directory}/{name},rdonly"
        with _ending(["socat", "-u", source, _socat(address, listen=False)]):
            yield

    @contextlib.contextmanager
    def bridge(
        self,
        channel: str,
        address: str,
        *,
        listen: bool = False,
        clients: int = 1,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = subprocess.PIPE,
    ) -> Iterator[Bridge]:
        """See ``End``: two ``cat``, a direction each, and socat between them and QEMU."""
        path = self._directory / channel
        terminal = self._scratch / "terminal"
        if address == "stdio":
            # The first ends when QEMU does: it must not hold our pipe until then.
            script = f"exec 3<&0; cat <&3 >> {path} 2> /dev/null & exec cat {path}"
        else:
            theirs = _socat(address, listen=listen)
            if address == "pty":
                theirs = f"PTY,rawer,link={terminal}"
            relay = f"cat {path} | socat - '{theirs}' | cat >> {path}"
            script = f"for client in $(seq {clients}); do {relay}; done"
        with _Process(["sh", "-c", script], stdin, stdout, terminal=terminal) as process:
            yield process

    def await_dom0(self, channel: str) -> None:
        """See ``End``."""
        with self.to_read(channel) as descriptor:
            while os.read(descriptor, 1):
                pass

    def end_guest(self, channel: str) -> NoReturn:
        """See ``End``: the channel's client in Dom0 does it, when he hears something."""
        with self.to_write(channel) as descriptor:
            os.write(descriptor, b"now")
            while True:
                signal.pause()


class Fronted:
    """Through ``xen-fileproxy-front``; a socket's data cross a channel to a program of Dom0."""

    name = "frontend"

    def __init__(
        self,
        front: Callable[..., list[str]],
        scratch: Path,
        channel: tuple[str, Path],
        dom0: Callable[[str], Path],
    ) -> None:
        """``front`` makes a command line; ``channel`` is its name and its socket in Dom0.

        ``dom0`` names Dom0's file behind a name of the share.
        """
        self._front: Final = front
        self._scratch: Final = scratch
        self._channel: Final = channel
        self._dom0: Final = dom0

    def writer(self, name: str) -> str:
        """See ``End``."""
        return shlex.join(self._front("put", "-", name))

    def reader(self, name: str) -> str:
        """See ``End``."""
        return shlex.join(self._front("get", name, "-"))

    @contextlib.contextmanager
    def to_write(self, name: str, *, truncate: bool = True) -> Iterator[int]:
        """See ``End``; a pipe, so always a new file."""
        del truncate
        reader, writer = os.pipe()
        with (
            open(reader, "rb", buffering=0) as ours,
            open(writer, "wb", buffering=0) as theirs,
            _ending(self._front("put", "-", name), stdin=ours),
        ):
            ours.close()
            yield writer
            theirs.close()

    @contextlib.contextmanager
    def to_read(self, name: str) -> Iterator[int]:
        """See ``End``."""
        reader, writer = os.pipe()
        with (
            open(reader, "rb", buffering=0),
            open(writer, "wb", buffering=0) as theirs,
            _ending(self._front("get", name, "-"), stdout=theirs),
        ):
            theirs.close()
            yield reader

    @contextlib.contextmanager
    def path_to_write(self, name: str) -> Iterator[str]:
        """See ``End``."""
        with self._pipe(name) as path, _ending(self._front("put", path, name)):
            yield path

    @contextlib.contextmanager
    def path_to_read(self, name: str) -> Iterator[str]:
        """See ``End``."""
        with self._pipe(name) as path, _ending(self._front("get", name, path)):
            yield path

    @contextlib.contextmanager
    def receiving(self, name: str, address: str) -> Iterator[None]:
        """See ``End``."""
        with (
            self._talking(lambda client: _receive(client, self._dom0(name))),
            _ending(self._front("bridge", self._channel[0], address, "--listen", "--once")),
        ):
            yield

    @contextlib.contextmanager
    def sending(self, name: str, address: str) -> Iterator[None]:
        """See ``End``."""
        bridge = self._front("bridge", self._channel[0], address, "--once", "--wait", "300")
        with (
            self._talking(lambda client: client.sendall(self._dom0(name).read_bytes())),
            _ending(bridge),
        ):
            yield

    @contextlib.contextmanager
    def bridge(
        self,
        channel: str,
        address: str,
        *,
        listen: bool = False,
        clients: int = 1,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = subprocess.PIPE,
    ) -> Iterator[Bridge]:
        """See ``End``."""
        options = ["--wait", "300", *(["--listen"] if listen else [])]
        if clients == 1:
            options.append("--once")
        command = self._front("bridge", channel, address, *options)
        with _Process(command, stdin, stdout, endless=clients > 1) as process:
            yield process

    def await_dom0(self, channel: str) -> None:
        """See ``End``: whoever works with this end is in Dom0 himself, and here when he is done."""

    def end_guest(self, channel: str) -> NoReturn:
        """See ``End``: all that there is of the guest are processes of blocks that this ends."""
        del channel
        raise Gone

    @contextlib.contextmanager
    def _pipe(self, name: str) -> Iterator[str]:
        path = self._scratch / f"{name}.pipe"
        os.mkfifo(path)
        try:
            yield str(path)
        finally:
            path.unlink()

    @contextlib.contextmanager
    def _talking(self, talk: Callable[[socket.socket], None]) -> Iterator[None]:
        """A program of Dom0 on the channel, beside the block."""

        def run() -> None:
            with connected(self._channel[1]) as client:
                talk(client)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            thread.join(DEADLINE)


def connected(path: Path) -> socket.socket:
    """A client of a channel, whose socket is there while the guest's driver is.

    Raises ``OSError``.
    """
    deadline = time.monotonic() + DEADLINE
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(DEADLINE)
        try:
            client.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            client.close()
            if time.monotonic() > deadline:
                raise
            select.select([], [], [], 0.05)
        except BaseException:
            client.close()
            raise
        else:
            return client


def _receive(client: socket.socket, target: Path) -> None:
    with target.open("wb") as file:
        while data := client.recv(1 << 16):
            file.write(data)


def _socat(address: str, *, listen: bool) -> str:
    """An address of the frontend's ``bridge``, as socat has it."""
    kind, _, where = address.partition(":")
    host, _, port = where.rpartition(":")
    again = "retry=600,interval=0.5"
    if listen:
        tcp = f"TCP-LISTEN:{port},bind={host},reuseaddr"
        return tcp if kind == "tcp" else f"UNIX-LISTEN:{where},unlink-early"
    return {
        "unix": f"UNIX-CONNECT:{where},{again}",
        "tcp": f"TCP-CONNECT:{host}:{port},{again}",
        "pty": f"OPEN:{where},rawer",
        "pipe": f"OPEN:{where}.out,rdonly!!OPEN:{where}.in,wronly",
    }[kind]


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _Process:
    """A program that runs beside a block; a context manager that kills what still runs."""

    def __init__(
        self,
        command: Sequence[str],
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = subprocess.DEVNULL,
        *,
        endless: bool = False,
        terminal: Path | None = None,
    ) -> None:
        """An ``endless`` one has to be told to end; ``terminal`` is what it makes, else it says."""
        self._command: Final = shlex.join(command)
        self._endless: Final = endless
        self._terminal: Final = terminal
        self._process: Final = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE
        )

    def terminal(self) -> str:
        """The path of the terminal that it has made.  Raises ``WayError``."""
        if self._terminal is None:
            assert self._process.stdout is not None
            return self._process.stdout.readline().decode().strip()
        deadline = time.monotonic() + DEADLINE
        while not self._terminal.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise WayError(f"{self._command}: makes no terminal")
            select.select([], [], [], 0.05)
        return str(self._terminal)

    def finish(self) -> None:
        """Wait until it has ended.  Raises ``WayError`` where it has failed."""
        if self._endless:
            self._process.terminate()
        said = self._process.communicate(timeout=DEADLINE)[1].decode(errors="replace").strip()
        status = self._process.returncode
        if status != (128 + signal.SIGTERM if self._endless else 0):
            raise WayError(f"{self._command}: status {status}: {said}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@contextlib.contextmanager
def _ending(
    command: Sequence[str],
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.DEVNULL,
) -> Iterator[None]:
    """A program that runs beside the block, and ends well after it.  Raises ``WayError``."""
    with _Process(command, stdin, stdout) as process:
        yield
        process.finish()
