"""The end of the kernel's mount."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Final, NoReturn

from tools.qemu_ways.beside import Process, ending

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.qemu_ways.ends import Bridge
    from tools.qemu_ways.qemu import Stream

_BEYOND: Final = 1 << 62
"""A place in a channel's file that nobody writes up to."""


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

    def remove(self, name: str) -> None:
        """See ``End``."""
        (self._directory / name).unlink()

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
        with ending(["socat", "-u", _socat(address, listen=True), target]):
            yield

    @contextlib.contextmanager
    def sending(self, name: str, address: str) -> Iterator[None]:
        """See ``End``."""
        source = f"OPEN:{self._directory}/{name},rdonly"
        with ending(["socat", "-u", source, _socat(address, listen=False)]):
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
        """See ``End``: a program for each direction, and socat between them and QEMU.

        Linux takes a read for short, and reads on, while it ends before what was last written.
        """
        path = self._directory / channel
        read = f"socat -u OPEN:{path},rdonly,seek={_BEYOND} -"
        terminal = self._scratch / "terminal"
        if address == "stdio":
            # The first ends when QEMU does: it must not hold our pipe until then.
            script = f"exec 3<&0; cat <&3 >> {path} 2> /dev/null & exec {read}"
        else:
            theirs = _socat(address, listen=listen)
            if address == "pty":
                theirs = f"PTY,rawer,link={terminal}"
            relay = f"{read} | socat - '{theirs}' | cat >> {path}"
            script = f"for client in $(seq {clients}); do {relay}; done"
        with Process(["sh", "-c", script], stdin, stdout, terminal=terminal) as process:
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
