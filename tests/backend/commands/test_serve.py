"""``serve``: clients of a plain socket that come, go, stall and talk nonsense.

What they read is shown in ``tests/end_to_end/test_serve.py``, with diod's clients.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from frontend_stub.connect import connect_socket
from frontend_stub.share import Share
from protocol.ninep.flags import LOCK_FLAGS_BLOCK, LOCK_SUCCESS, LOCK_TYPE_WRLCK
from protocol.ninep.messages import Rlock, Tlock
from tests.backend.supervisor.program import PATIENCE, Program, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct("<IBH")


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="xf") as name:
        yield Path(name)


@pytest.fixture
def export(place: Path) -> Path:
    path = place / "export"
    path.mkdir()
    return path


@pytest.fixture
def server(place: Path, export: Path) -> Iterator[Program]:
    with Program("serve", "--path", str(export), "--listen", f"unix:{place / 's'}", "-v") as server:
        server.wait_for_line("info: serving ")
        yield server
        assert server.stop() == 0
        assert not [line for line in server.lines if "Traceback" in line], server.lines


def connect(place: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.connect(str(place / "s"))
    return connection


def version(connection: socket.socket) -> bytes:
    """Tversion and the whole reply."""
    text = b"9P2000.L"
    body = struct.pack("<IH", 8192, len(text)) + text
    connection.sendall(HEADER.pack(HEADER.size + len(body), 100, 0xFFFF) + body)
    reply = exactly(connection, HEADER.size)
    return reply + exactly(connection, HEADER.unpack(reply)[0] - HEADER.size)


def exactly(connection: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        # MSG_WAITALL would do, but not on a socket that has a timeout.
        parts.append(part := connection.recv(length))
        assert part, "hung up"
        length -= len(part)
    return b"".join(parts)


def test_one_client_waits_for_another_ones_lock(server: Program, place: Path) -> None:
    del server  # it runs
    address = f"unix:{place / 's'}"
    with Share.attach(connect_socket(address)) as one, Share.attach(connect_socket(address)) as two:
        mine = one.open("file", os.O_RDWR | os.O_CREAT)
        assert mine.lock()
        theirs = two.open("file", os.O_RDWR)
        pending = two.client.submit(
            lambda tag: Tlock(tag, theirs.fid, LOCK_TYPE_WRLCK, LOCK_FLAGS_BLOCK, 0, 0, 1, b""),
            Rlock,
        )
        theirs.stat()
        assert not pending.done
        mine.unlock()
        assert two.client.wait(pending).status == LOCK_SUCCESS


def test_clients_are_served_side_by_side_and_share_no_fate(server: Program, place: Path) -> None:
    with connect(place) as first, connect(place) as second:
        assert version(first)[4] == 101
        # Rubbish ends its own connection only.
        second.sendall(b"\x03\x00\x00\x00\x64\xff\xff")
        assert second.recv(1) == b""
        assert version(first)[4] == 101
    line = server.wait_for_line("not 9P: ")
    assert line == "info: client 2: not 9P: a message of 3 bytes: messages have 7 to 2097152"


def test_client_that_goes_in_the_middle_of_a_message_leaves_no_process(
    server: Program, place: Path
) -> None:
    for _ in range(3):
        with connect(place) as client:
            assert version(client)[4] == 101
            client.sendall(HEADER.pack(100, 100, 0xFFFF))
    server.wait_for_line("client 3: hung up")
    wait_until(
        lambda: server.session() == [server.process.pid], "processes are left", server.session
    )


def test_client_that_does_not_read_stalls_itself_and_gets_everything_in_the_end(
    server: Program, place: Path
) -> None:
    with connect(place) as client, connect(place) as other:
        text = b"9P2000.L"
        body = struct.pack("<IH", 8192, len(text)) + text
        frame = HEADER.pack(HEADER.size + len(body), 100, 0xFFFF) + body
        sent = 0
        client.setblocking(False)
        # Until the server takes no more for a while, because its replies are not taken.
        while select.select([], [client], [], 0.5)[1]:
            sent += client.send(frame[sent % len(frame) :] + frame * 2000)
            assert sent < 64 << 20, "nothing stops a client that does not read"
        assert version(other)[4] == 101
        client.settimeout(PATIENCE)
        for number in range(sent // len(frame)):
            reply = exactly(client, len(frame))
            assert HEADER.unpack_from(reply) == (len(frame), 101, 0xFFFF), number
        client.sendall(frame[sent % len(frame) :])
        assert exactly(client, len(frame))[4] == 101
    assert server.process.poll() is None


def test_server_that_is_killed_takes_its_processes_with_it(server: Program, place: Path) -> None:
    with connect(place) as client:
        assert version(client)[4] == 101
        server.stop(signal.SIGKILL)
        assert client.recv(1) == b""
    # The fixture's own stop sees status -9.
    server.process.returncode = 0


def test_stale_socket_is_replaced_and_a_live_one_is_not(
    server: Program, place: Path, export: Path
) -> None:
    arguments = ("serve", "--path", str(export), "--listen", f"unix:{place / 's'}")
    with Program(*arguments) as second:
        assert second.process.wait(PATIENCE) == 1
        second.wait_for_line("Address already in use")
    assert server.stop() == 0
    assert not (place / "s").exists()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(place / "s"))
    with Program(*arguments) as third:
        third.wait_for_line("info: serving ")
        with connect(place) as client:
            assert version(client)[4] == 101
        assert third.stop() == 0


def test_tcp(export: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with Program("serve", "--path", str(export), "--listen", f"tcp:127.0.0.1:{port}") as server:
        server.wait_for_line("info: serving ")
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            assert version(client)[4] == 101
        assert server.stop() == 0


def test_trace_is_a_capture_of_all_clients(place: Path, export: Path) -> None:
    trace = place / "trace.pcap"
    with Program(
        "serve",
        "--path",
        str(export),
        "--listen",
        f"unix:{place / 's'}",
        "--trace",
        str(trace),
    ) as server:
        server.wait_for_line("info: serving ")
        for _ in range(2):
            with connect(place) as client:
                assert version(client)[4] == 101
        assert server.stop() == 0
    assert trace.read_bytes().count(b"9P2000.L") == 4


def test_export_that_has_gone_is_told_in_a_line(server: Program, place: Path, export: Path) -> None:
    export.rmdir()
    with connect(place) as client:
        assert client.recv(1) == b""
    line = server.wait_for_line("error: client 1: ")
    assert line == f"error: client 1: export path {export}: No such file or directory"


def test_walls_are_off_loudly(place: Path, export: Path) -> None:
    arguments = ("serve", "--path", str(export), "--listen", f"unix:{place / 's'}", "--no-sandbox")
    with Program(*arguments) as server:
        server.wait_for_line("info: serving ")
        with connect(place) as client:
            assert version(client)[4] == 101
        assert server.stop() == 0
        assert len([line for line in server.lines if "warning: sandbox: it is off" in line]) == 1
