"""The sockets of channels: private, replaced when stale, and never taken from who has them."""

from __future__ import annotations

import os
import re
import socket
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from backend.channel.listening import listen, listen_all, listens_at, remove, sweep
from backend.exports import ExportError
from backend.share import NamedChannel

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_its_owners_alone_and_so_are_the_directories_it_made(sockets: Path) -> None:
    path = sockets / "new" / "5" / "qmp"
    before = os.umask(0)
    try:
        with listen(str(path)):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            for made in (path.parent, path.parent.parent):
                assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_what_a_killed_process_has_left_is_replaced(sockets: Path) -> None:
    path = str(sockets / "qmp")
    listen(path).close()
    with listen(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_one_that_is_in_use_is_left_alone_and_does_not_notice(sockets: Path) -> None:
    path = str(sockets / "qmp")
    with listen(path) as listener:
        with pytest.raises(OSError, match="Address already in use"):
            listen(path)
        remove(path)
        with pytest.raises(BlockingIOError):
            listener.accept()
        assert os.path.exists(path)


def test_another_kind_of_socket_that_is_in_use_is_left_alone(sockets: Path) -> None:
    path = str(sockets / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(path)
        with pytest.raises(OSError, match="Address already in use"):
            listen(path)


def test_sweeping_takes_neither_a_new_socket_nor_its_directory(sockets: Path) -> None:
    done = threading.Event()

    def keep_sweeping() -> None:
        while not done.is_set():
            sweep(str(sockets))

    sweeper = threading.Thread(target=keep_sweeping)
    sweeper.start()
    try:
        for _ in range(200):
            with listen(str(sockets / "5" / "qmp")):
                assert (sockets / "5" / "qmp").exists()
    finally:
        done.set()
        sweeper.join()


def test_what_is_no_socket_is_left_alone(sockets: Path) -> None:
    path = sockets / "qmp"
    path.write_text("mine")
    remove(str(path))
    with pytest.raises(OSError, match="Address already in use"):
        listen(str(path))
    assert path.read_text() == "mine"


def test_removing(sockets: Path) -> None:
    path = str(sockets / "qmp")
    listen(path).close()
    remove(path)
    assert not os.path.exists(path)
    remove(path)
    remove(str(sockets / "nowhere" / "qmp"))


def test_sweeping_takes_what_nobody_has(sockets: Path) -> None:
    for stale in ("5/qmp", "6/qmp"):
        listen(str(sockets / stale)).close()
    (sockets / "7").mkdir()
    (sockets / "7" / "notes").touch()
    (sockets / "quota").mkdir()
    (sockets / "lock").touch()
    with listen(str(sockets / "6" / "log")):
        sweep(str(sockets))
        left = sorted(str(path.relative_to(sockets)) for path in sockets.rglob("*"))
    assert left == ["6", "6/log", "7", "7/notes", "lock", "quota"]


def test_all_or_none_and_the_error_names_channel_and_path(sockets: Path) -> None:
    (sockets / "taken").touch()
    channels = [
        NamedChannel("good", str(sockets / "good")),
        NamedChannel("bad", str(sockets / "taken")),
    ]
    message = f"channel bad: {sockets}/taken: Address already in use"
    with pytest.raises(ExportError, match=re.escape(message)):
        listen_all(channels)
    remove(str(sockets / "good"))
    assert not (sockets / "good").exists()


def test_what_listens_at_a_path_is_known_whoever_has_made_it(sockets: Path) -> None:
    path, other = str(sockets / "qmp"), str(sockets / "other")
    with listen(path) as listener, socket.socket(socket.AF_UNIX) as client:
        assert listens_at(listener.fileno(), path)
        assert not listens_at(listener.fileno(), other)
        client.connect(path)
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockname() == path
            assert not listens_at(accepted.fileno(), path)
        assert not listens_at(client.fileno(), path)
        assert os.fstat(listener.fileno())  # it is still the caller's


def test_nothing_else_listens_there(sockets: Path) -> None:
    path = str(sockets / "other")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as packets,
        socket.socket(socket.AF_INET) as network,
        socket.socket(socket.AF_UNIX) as bound,
        open(os.devnull, "rb") as null,
    ):
        packets.bind(path)
        packets.listen()
        bound.bind(str(sockets / "bound"))
        for fd in (packets, network, null):
            assert not listens_at(fd.fileno(), path)
        assert not listens_at(bound.fileno(), str(sockets / "bound"))
    assert not listens_at(1 << 20, path)
