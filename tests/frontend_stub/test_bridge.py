"""``bridge`` between a channel and whoever is in QEMU's place, and what ends it.

Real QEMUs are in ``tests/tools/qemu_ways``.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tools.testbed import BIN

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 60.0


def until(process: subprocess.Popen[bytes], ready: Any) -> None:
    """Wait until ``ready()``, which has no event of its own; the process's end is one."""
    gone = os.pidfd_open(process.pid)
    deadline = time.monotonic() + DEADLINE
    try:
        while not ready():
            assert not select.select([gone], [], [], 0.02)[0], "the process has ended"
            assert time.monotonic() < deadline
    finally:
        os.close(gone)


class Bed:
    """A server with the channel ``qmp``; what is started here ends here."""

    def __init__(self, place: Path, stack: ExitStack) -> None:
        self.place = place
        self._stack = stack
        server = self.start(
            BIN / "xen-fileproxy",
            *("serve", "--listen", f"unix:{place}/9p"),
            *("--channel", f"qmp={place}/qmp"),
        )
        until(server, lambda: (place / "9p").exists() and (place / "qmp").exists())

    def start(self, *command: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        process = self._stack.enter_context(
            subprocess.Popen(list(map(str, command)), **{"stdin": subprocess.DEVNULL, **options})
        )
        self._stack.callback(process.kill)
        return process

    def bridge(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        program = str(BIN / "xen-fileproxy-front")
        return self.start(
            *(program, "--connect", f"unix:{self.place}/9p", "bridge", "qmp", *arguments),
            **{"stderr": subprocess.PIPE, **options},
        )

    @contextmanager
    def dom0(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(str(self.place / "qmp"))
            yield client


@pytest.fixture
def bed(leak_free: None) -> Iterator[Bed]:
    with tempfile.TemporaryDirectory(prefix="xf") as name, ExitStack() as stack:
        yield Bed(Path(name), stack)


def ended(process: subprocess.Popen[bytes], code: int) -> str:
    """What it said on standard error, after it has ended with ``code``."""
    said = process.communicate(timeout=DEADLINE)[1].decode()
    assert (process.returncode, "Traceback" in said) == (code, False), said
    return said


@pytest.fixture
def peer(bed: Bed) -> Iterator[socket.socket]:
    """In QEMU's place: a listener that the bridge connects to."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(DEADLINE)
        listener.bind(str(bed.place / "m"))
        listener.listen()
        yield listener


def test_more_than_any_buffer_goes_through_whole_both_ways(bed: Bed, peer: socket.socket) -> None:
    bed.bridge(f"unix:{bed.place}/m")
    data = os.urandom(1 << 20) * 3
    with bed.dom0() as client, peer.accept()[0] as qemu:
        for sender, receiver in ((client, qemu), (qemu, client)):
            sent, received = 0, bytearray()
            sender.setblocking(False)
            while len(received) < len(data):
                readable, writable, _ = select.select(
                    [receiver], [sender] if sent < len(data) else [], [], DEADLINE
                )
                assert readable or writable
                if writable:
                    sent += sender.send(data[sent : sent + 100_000])
                if readable:
                    received += receiver.recv(1 << 20)
            assert received == data


def test_the_clients_hang_up_reaches_qemu_and_its_last_words_the_client(
    bed: Bed, peer: socket.socket
) -> None:
    bed.bridge(f"unix:{bed.place}/m")
    with bed.dom0() as client, peer.accept()[0] as qemu:
        client.sendall(b"command")
        client.shutdown(socket.SHUT_WR)
        assert qemu.recv(100) == b"command"
        assert qemu.recv(100) == b""
        qemu.sendall(b"answer")
        assert client.recv(100) == b"answer"
        qemu.close()
        assert client.recv(100) == b""


def test_qemus_end_is_a_hang_up_for_the_client(bed: Bed, peer: socket.socket) -> None:
    bridge = bed.bridge(f"unix:{bed.place}/m", "--once")
    with bed.dom0() as client:
        with peer.accept()[0] as qemu:
            qemu.sendall(b"last words")
        assert client.recv(100) == b"last words"
        assert client.recv(100) == b""
    assert ended(bridge, 0) == ""


def test_clients_that_come_and_go_at_once(bed: Bed, peer: socket.socket) -> None:
    bed.bridge(f"unix:{bed.place}/m")
    for _ in range(10):
        with bed.dom0() as client:
            client.send(b"x")
        with peer.accept()[0] as qemu:
            assert qemu.recv(100) == b"x"


@pytest.mark.parametrize("address", ["unix:{place}/nobody", "pipe:{place}/nobody"])
def test_a_client_is_hung_up_on_where_there_is_no_qemu(bed: Bed, address: str) -> None:
    bridge = bed.bridge(address.format(place=bed.place), "--once", "--wait", "0")
    with bed.dom0() as client:
        assert client.recv(100) == b""
    assert "no QEMU for a client" in ended(bridge, 1)


def test_a_listeners_socket_goes_with_it(bed: Bed) -> None:
    bridge = bed.bridge(f"unix:{bed.place}/m", "--listen")
    until(bridge, (bed.place / "m").exists)
    bridge.send_signal(signal.SIGINT)
    assert ended(bridge, 130) == ""
    assert not (bed.place / "m").exists()


def test_a_qemu_that_does_not_connect(bed: Bed) -> None:
    bridge = bed.bridge(f"unix:{bed.place}/m", "--listen", "--once", "--wait", "0")
    with bed.dom0() as client:
        assert client.recv(100) == b""
    assert "no QEMU for a client" in ended(bridge, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["stdio", "--listen"], 1, "--listen goes with unix:PATH and tcp:HOST:PORT"),
        (["udp:x"], 2, "must be unix:PATH, tcp:HOST:PORT, pty"),
        (["tcp:x:0"], 2, "the port a number from 1 to 65535"),
        (["unix:"], 2, "must be unix:PATH"),
        (["unix:/nowhere/m", "--listen"], 1, "unix:/nowhere/m: No such file or directory"),
    ],
)
def test_what_is_wrong_is_named(bed: Bed, arguments: list[str], code: int, message: str) -> None:
    assert message in ended(bed.bridge(*arguments), code)


def test_what_is_no_channel(bed: Bed) -> None:
    program = str(BIN / "xen-fileproxy-front")
    bridge = bed.start(
        *(program, "--connect", f"unix:{bed.place}/9p", "bridge", "nothing", "pty"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert "nothing: No such file or directory" in ended(bridge, 1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_it_while_it_waits_and_while_it_relays(
    bed: Bed, peer: socket.socket, number: signal.Signals, code: int
) -> None:
    waiting = bed.bridge("pty", stdout=subprocess.PIPE)
    assert waiting.stdout is not None
    assert waiting.stdout.readline()
    waiting.send_signal(number)
    assert ended(waiting, code) == ""
    relaying = bed.bridge(f"unix:{bed.place}/m")
    with bed.dom0() as client, peer.accept()[0] as qemu:
        client.send(b"x")
        assert qemu.recv(1) == b"x"
        relaying.send_signal(number)
        assert client.recv(1) == b""
        assert ended(relaying, code) == ""
