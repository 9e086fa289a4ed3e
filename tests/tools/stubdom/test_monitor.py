"""What stands between Dom0's clients and QEMU's monitor in the stub domain."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import json
import os
import socket
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tools.stubdom import image

if TYPE_CHECKING:
    from collections.abc import Iterator

SAVE = (
    b'{"execute": "xen-save-devices-state", '
    b'"arguments": {"filename": "/dev/fdset/1", "live": false}}\r\n'
)


@pytest.fixture(scope="module")
def monitor() -> Any:
    """The script, as a module."""
    path = Path(image.__file__).parent / "guest" / "monitor"
    loader = importlib.machinery.SourceFileLoader("stubdom_monitor", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Ends:
    """The script at work: ``client`` is Dom0's end of the channel, ``qemu`` the monitor's."""

    def __init__(self, monitor: Any, save: Path) -> None:
        requests, to_script = os.pipe()
        from_script, answers = os.pipe()
        self._open = ExitStack()
        self.to_script = self._open.enter_context(io.FileIO(to_script, "w"))
        self.from_script = self._open.enter_context(io.FileIO(from_script, "r"))
        theirs = [
            self._open.enter_context(io.FileIO(requests, "r")),
            self._open.enter_context(io.FileIO(answers, "w")),
        ]
        self.qemu, other = map(self._open.enter_context, socket.socketpair())
        self._thread = threading.Thread(target=monitor.serve, args=(*theirs, other, str(save)))
        self._thread.start()

    def finish(self) -> None:
        """The client leaves, then QEMU hangs up; the script goes on to the next client."""
        self.to_script.close()
        while self.qemu.recv(1 << 16):
            pass
        self.qemu.close()
        self._thread.join()
        self._open.close()


@pytest.fixture
def save(tmp_path: Path) -> Path:
    """The file of the share that a state is saved to."""
    return tmp_path / "save"


@pytest.fixture
def ends(monitor: Any, save: Path) -> Iterator[Ends]:
    """A client and QEMU."""
    ends = Ends(monitor, save)
    yield ends
    ends.finish()


def test_a_state_goes_to_the_share_and_what_was_there_is_removed_first(
    ends: Ends, save: Path
) -> None:
    save.write_bytes(b"of another save")
    ends.to_script.write(SAVE)
    request = json.loads(ends.qemu.recv(1 << 16))
    assert request["arguments"] == {"filename": str(save), "live": False}
    assert not save.exists()


@pytest.mark.parametrize(
    "request_line",
    [
        b'{ "execute" : "query-status" }\r\n',
        b'{"execute": "xen-save-devices-state", "arguments": {"filename": "/tmp/mine"}}\n',
        b'{"execute": "xen-save-devices-state"}\n',
        b'{"execute": "xen-save-devices-state", "arguments": {"filename": 7}}\n',
        b'{"execute": "x", "arguments": {"filename": "/dev/fdset/1"}}\n',
        b"[]\n",
        b"not json at all \xff\n",
        b"\n",
    ],
)
def test_all_else_passes_as_it_is(ends: Ends, save: Path, request_line: bytes) -> None:
    save.write_bytes(b"a state")
    ends.to_script.write(request_line)
    assert ends.qemu.recv(len(request_line), socket.MSG_WAITALL) == request_line
    assert save.read_bytes() == b"a state"


def test_a_request_may_come_in_pieces_and_several_at_once(ends: Ends) -> None:
    whole = b'{"execute": "qmp_capabilities"}\n{"execute": "query-version"}\n'
    ends.to_script.write(whole[:5])
    ends.to_script.write(whole[5:])
    assert ends.qemu.recv(len(whole), socket.MSG_WAITALL) == whole


def test_what_qemu_says_reaches_the_client_to_the_last_byte(ends: Ends) -> None:
    answer = os.urandom(1 << 20)
    sender = threading.Thread(target=ends.qemu.sendall, args=(answer,))
    sender.start()
    heard = b""
    while len(heard) < len(answer):
        heard += ends.from_script.read(1 << 16)
    sender.join()
    assert heard == answer


def test_a_client_without_the_end_of_a_line_is_not_kept_for_ever(
    monitor: Any,
    save: Path,
) -> None:
    ends = Ends(monitor, save)
    sender = threading.Thread(target=ends.to_script.write, args=(b"x" * (monitor.LONGEST + 2),))
    sender.start()
    assert ends.qemu.recv(1) == b""
    sender.join()
    ends.finish()
