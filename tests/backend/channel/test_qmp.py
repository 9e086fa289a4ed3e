"""The monitor protocol's client against what a guest may say in a monitor's place."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from backend.channel import qmp
from backend.channel.qmp import Monitor, MonitorError, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GREETING = b'{"QMP": {"version": {}, "capabilities": []}}\r\n'
DEADLINE = 20.0


class Peer:
    """In QEMU's place: says ``lines`` after what was asked, one by one, and remembers that."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.settimeout(DEADLINE)
        self._listener.bind(self.path)
        self._listener.listen()
        self.heard: list[dict[str, Any]] = []
        self._thread: threading.Thread | None = None

    def says(self, *answers: bytes, greeting: bytes = GREETING, ok: bool = True) -> None:
        """Greet, accept the negotiation, then give each answer to one request; then hang up."""

        def run() -> None:
            connection = self._listener.accept()[0]
            with connection, connection.makefile("rwb") as line:
                line.write(greeting)
                line.flush()
                for answer in (b'{"return": {}, "id": 1}\n', *answers) if ok else ():
                    request = line.readline()
                    if not request:
                        return
                    self.heard.append(json.loads(request))
                    line.write(answer)
                    line.flush()
                with suppress(ConnectionResetError):
                    while line.readline():
                        pass

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self._listener.close()


@pytest.fixture
def peer(sockets: Path) -> Iterator[Peer]:
    peer = Peer(sockets / "m")
    yield peer
    peer.close()


def test_a_command_its_arguments_and_its_result(peer: Peer) -> None:
    peer.says(b'{"return": [1], "id": 2}\n', b'{"return": {}, "id": 3}\n')
    with Monitor.connect(peer.path, DEADLINE) as monitor:
        assert monitor.execute("one", {"a": 1}) == [1]
        assert monitor.execute("two") == {}
    assert peer.heard == [
        {"execute": "qmp_capabilities", "id": 1},
        {"execute": "one", "id": 2, "arguments": {"a": 1}},
        {"execute": "two", "id": 3},
    ]


def test_events_come_by_the_way_and_when_asked_for(peer: Peer) -> None:
    one, two, three = (json.dumps({"event": name}).encode() + b"\n" for name in "abc")
    peer.says(one + b'{"return": {}, "id": 7}\n' + two + b'{"return": 5, "id": 2}\n' + three)
    events: list[str] = []
    with Monitor.connect(peer.path, DEADLINE) as monitor:
        monitor.on_event = lambda event: events.append(event["event"])
        assert monitor.execute("x") == 5
        assert events == ["a", "b"]
        monitor.hear()
        assert events == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b'{"class": "CommandNotFound", "desc": "no such"}', "CommandNotFound: no such"),
        (b'{"desc": "\\u001b[31m"}', "error: \\\\u001b\\[31m"),
        (b'"odd"', '"odd"'),
    ],
)
def test_an_error_is_qemus_own_words_and_no_terminals_orders(
    peer: Peer, answer: bytes, text: str
) -> None:
    peer.says(b'{"error": ' + answer + b', "id": 2}\n')
    with (
        Monitor.connect(peer.path, DEADLINE) as monitor,
        pytest.raises(Refused, match=f"^{text}$"),
    ):
        monitor.execute("x")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"nonsense\n", "what is not JSON"),
        (b"[" * 100_000 + b"\n", "what is not JSON"),
        (b"[]\n", "what is no QMP message"),
        (b"{}\n", "what is no QMP message"),
        (b'{"QMP": {}, "id": 2}\n', "x: an answer that is none"),
    ],
)
def test_nonsense(peer: Peer, answer: bytes, message: str) -> None:
    peer.says(answer)
    with (
        Monitor.connect(peer.path, DEADLINE) as monitor,
        pytest.raises(MonitorError, match=message),
    ):
        monitor.execute("x")


def test_a_message_without_end(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmp, "MAX_MESSAGE", 1000)
    peer.says(b"x" * 200_000)
    with (
        Monitor.connect(peer.path, DEADLINE) as monitor,
        pytest.raises(MonitorError, match="a message of more than 1000 bytes"),
    ):
        monitor.execute("x")


def test_a_silent_monitor(peer: Peer) -> None:
    peer.says(b"")
    with Monitor.connect(peer.path, DEADLINE) as monitor:
        monitor._seconds = 0.0  # type: ignore[misc]  # the time that has passed is not the point
        with pytest.raises(MonitorError, match="x: no answer within 0 s"):
            monitor.execute("x")


def test_no_greeting(peer: Peer) -> None:
    peer.says(greeting=b"", ok=False)
    with pytest.raises(MonitorError, match=r"no greeting within 0\.1 s: another client has"):
        Monitor.connect(peer.path, 0.1)


def test_what_is_no_monitor(peer: Peer) -> None:
    peer.says(greeting=b'{"return": 1}\n', ok=False)
    with pytest.raises(MonitorError, match="no QMP monitor"):
        Monitor.connect(peer.path, DEADLINE)


def test_a_monitor_that_hangs_up(peer: Peer) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(peer.path)
        server = peer._listener.accept()[0]
        server.close()
        with pytest.raises(MonitorError, match="has hung up"):
            Monitor(client, DEADLINE).negotiate()
    ours, theirs = socket.socketpair()
    with Monitor(ours, DEADLINE) as monitor:
        theirs.close()
        with pytest.raises(MonitorError, match="has hung up"):
            monitor.execute("x")


def test_a_queue_that_is_full(sockets: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(sockets / "m"))
        listener.listen(0)
        first.connect(str(sockets / "m"))
        with pytest.raises(MonitorError, match="more clients are waiting than may"):
            Monitor.connect(str(sockets / "m"), 0.1)
