"""The end of our frontend."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import threading
from typing import TYPE_CHECKING, Final, NoReturn

from tools.qemu_ways.beside import Process, ending
from tools.qemu_ways.channel_client import connected
from tools.qemu_ways.ends import Gone
from tools.qemu_ways.qemu import DEADLINE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tools.qemu_ways.ends import Bridge
    from tools.qemu_ways.qemu import Stream


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

    def remove(self, name: str) -> None:
        """See ``End``."""
        with ending(self._front("rm", name)):
            pass

    @contextlib.contextmanager
    def to_write(self, name: str, *, truncate: bool = True) -> Iterator[int]:
        """See ``End``; a pipe, so always a new file."""
        del truncate
        reader, writer = os.pipe()
        with (
            open(reader, "rb", buffering=0) as ours,
            open(writer, "wb", buffering=0) as theirs,
            ending(self._front("put", "-", name), stdin=ours),
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
            ending(self._front("get", name, "-"), stdout=theirs),
        ):
            theirs.close()
            yield reader

    @contextlib.contextmanager
    def path_to_write(self, name: str) -> Iterator[str]:
        """See ``End``."""
        with self._pipe(name) as path, ending(self._front("put", path, name)):
            yield path

    @contextlib.contextmanager
    def path_to_read(self, name: str) -> Iterator[str]:
        """See ``End``."""
        with self._pipe(name) as path, ending(self._front("get", name, path)):
            yield path

    @contextlib.contextmanager
    def receiving(self, name: str, address: str) -> Iterator[None]:
        """See ``End``."""
        with (
            self._talking(lambda client: _receive(client, self._dom0(name))),
            ending(self._front("bridge", self._channel[0], address, "--listen", "--once")),
        ):
            yield

    @contextlib.contextmanager
    def sending(self, name: str, address: str) -> Iterator[None]:
        """See ``End``."""
        bridge = self._front("bridge", self._channel[0], address, "--once", "--wait", "300")
        with (
            self._talking(lambda client: client.sendall(self._dom0(name).read_bytes())),
            ending(bridge),
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
        with Process(command, stdin, stdout, endless=clients > 1) as process:
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


def _receive(client: socket.socket, target: Path) -> None:
    with target.open("wb") as file:
        while data := client.recv(1 << 16):
            file.write(data)
