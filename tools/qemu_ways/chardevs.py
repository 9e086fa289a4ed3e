"""Every character device that a monitor can live on, joined to a channel at either end of a share.

The guest's half is QEMU and what relays for it, Dom0's half a client on the channel's socket.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from backend.channel.qmp import Monitor
from tools.qemu_ways.channel_client import connected
from tools.qemu_ways.qemu import DEADLINE, Qemu, WayError
from tools.qemu_ways.stand import CHANNEL, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tools.qemu_ways.qemu import Stream
    from tools.qemu_ways.stand import Stand

LOG: Final = "log"
"""The channel from the guest that a share must have beside ``CHANNEL``."""

_MACHINE: Final = ("-M", "none", "-nodefaults", "-display", "none", "-S")


@dataclass(frozen=True)
class Chardev:
    """A chardev of QEMU's: how the guest's half is put together, and how Dom0 talks to it."""

    name: str
    title: str
    serve: Callable[[Stand, ExitStack], Callable[[], None]]
    """Starts the guest's half; what it returns waits until that has seen the last client leave."""
    talk: Callable[[Callable[[str], Path]], None]
    """Dom0's half, by the sockets of the channels.  Raises what a ``Monitor`` does."""
    unfit: str = ""
    """Why the frontend's ``bridge`` cannot serve it; nothing if it can."""

    def not_for(self, version: tuple[int, int], end: str) -> str:
        """Why there is nothing to try, in words for the table; nothing if there is."""
        del version
        return self.unfit if end == "frontend" else ""


def serve(chardev: Chardev, stand: Stand) -> None:
    """The guest's half, to its end.  Raises ``WayError``, ``OSError``."""
    with ExitStack() as stack:
        chardev.serve(stand, stack)()


def _greeted(clients: int) -> Callable[[Callable[[str], Path]], None]:
    """That many, each of whom QEMU greets and answers."""

    def talk(socket_of: Callable[[str], Path]) -> None:
        for _ in range(clients):
            with Monitor(connected(socket_of(CHANNEL)), DEADLINE) as monitor:
                monitor.negotiate()
                status = monitor.execute("query-status")["status"]
                if status != "prelaunch":
                    raise WayError(f"query-status says {status}")

    return talk


def _overheard(socket_of: Callable[[str], Path]) -> None:
    """One, who is greeted, and has nobody to talk to."""
    with connected(socket_of(LOG)) as client, client.makefile("rb") as lines:
        greeting = lines.readline()
        if "QMP" not in json.loads(greeting):
            raise WayError(f"no greeting but {greeting!r}")
    # A file's reader cannot tell QEMU that it has left: a client of the other channel does.
    with connected(socket_of(CHANNEL)) as client:
        client.sendall(b"heard")  # who leaves without a word is passed by


def _qemu(
    stand: Stand,
    stack: ExitStack,
    chardev: str,
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream | None = None,
) -> Qemu:
    log = stand.scratch / "monitored.log"
    arguments = ("-chardev", f"{chardev},id=m", "-mon", "chardev=m,mode=control")
    return stack.enter_context(
        Qemu(
            *(stand.command, log, *arguments),
            machine=_MACHINE,
            monitored=False,
            stdin=stdin,
            stdout=stdout,
        )
    )


def _socket(kind: str, *, listens: bool) -> Callable[[Stand, ExitStack], Callable[[], None]]:
    def serve(stand: Stand, stack: ExitStack) -> Callable[[], None]:
        if kind == "unix":
            path = stand.scratch / "monitor"
            path.unlink(missing_ok=True)
            address, option = f"unix:{path}", f"path={path}"
        else:
            port = free_port()
            address, option = f"tcp:127.0.0.1:{port}", f"host=127.0.0.1,port={port}"
        role = "server=on,wait=off" if listens else f"server=off,{_reconnect(stand)}"
        bridge = stack.enter_context(
            stand.end.bridge(CHANNEL, address, listen=not listens, clients=2)
        )
        _qemu(stand, stack, f"socket,{option},{role}")
        return bridge.finish

    return serve


def _reconnect(stand: Stand) -> str:
    return "reconnect=1" if stand.version < (9, 2) else "reconnect-ms=1000"


def _pipe(stand: Stand, stack: ExitStack) -> Callable[[], None]:
    path = stand.scratch / "monitor"
    for end in ("in", "out"):
        (stand.scratch / f"monitor.{end}").unlink(missing_ok=True)
        os.mkfifo(f"{path}.{end}")
    bridge = stack.enter_context(stand.end.bridge(CHANNEL, f"pipe:{path}"))
    _qemu(stand, stack, f"pipe,path={path}")
    return bridge.finish


def _terminal_of_qemu(stand: Stand, stack: ExitStack) -> Callable[[], None]:
    qemu = _qemu(stand, stack, "pty", stdout=subprocess.PIPE)
    with _stream(qemu.process.stdout) as said:
        line = said.readline()
    match = re.search(rb"(/dev/pts/\d+)", line)
    if match is None:
        raise WayError(f"QEMU names no terminal: {line!r}; {qemu.said()}")
    return stack.enter_context(stand.end.bridge(CHANNEL, f"pty:{match[1].decode()}")).finish


def _terminal_of_ours(stand: Stand, stack: ExitStack) -> Callable[[], None]:
    bridge = stack.enter_context(stand.end.bridge(CHANNEL, "pty"))
    _qemu(stand, stack, f"serial,path={bridge.terminal()}")
    return bridge.finish


def _standard(stand: Stand, stack: ExitStack) -> Callable[[], None]:
    qemu = _qemu(stand, stack, "stdio", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with _stream(qemu.process.stdin) as into, _stream(qemu.process.stdout) as out:
        bridge = stack.enter_context(stand.end.bridge(CHANNEL, "stdio", stdin=out, stdout=into))
    return bridge.finish


def _stream(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # it was asked for
    return pipe


def _file(stand: Stand, stack: ExitStack) -> Callable[[], None]:
    path = stack.enter_context(stand.end.path_to_write(LOG))
    _qemu(stand, stack, f"file,path={path}")
    return lambda: stand.end.await_dom0(CHANNEL)


CHARDEVS: Final[Sequence[Chardev]] = (
    *(
        Chardev(
            f"{kind}-{'server' if listens else 'client'}",
            f"`socket` {kind}, QEMU {'listens' if listens else 'connects'}",
            _socket(kind, listens=listens),
            _greeted(2),
        )
        for kind in ("unix", "tcp")
        for listens in (True, False)
    ),
    Chardev("pipe", "`pipe`", _pipe, _greeted(1)),
    Chardev("pty", "`pty`", _terminal_of_qemu, _greeted(1)),
    Chardev("serial", "`serial`", _terminal_of_ours, _greeted(1)),
    Chardev("stdio", "`stdio`", _standard, _greeted(1)),
    Chardev(
        "file-only",
        "`file`, which only writes",
        *(_file, _overheard),
        unfit="it is no stream: the mount only",
    ),
)
