"""The way through ``/dev/xen/xenbus``: a character device, here a pseudo terminal.

As the device, it is opened by path for reading and writing, polls, and gives what there is.
"""

from __future__ import annotations

import errno
import os
import pty
import socket
import threading
import tty
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from pyxs.client import Op

from backend.platform.store import connect_store
from backend.platform.store_link import Link
from backend.platform.store_transport import Channel
from protocol.xenpv.ports import StoreUnavailable
from tests.backend.platform.store_waiting import DEADLINE, next_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.backend.platform.conftest import Daemon


def copy(source: int, target: int) -> None:
    """Until the source ends."""
    try:
        while data := os.read(source, 4096):
            while data:
                data = data[os.write(target, data) :]
    except OSError:
        return


@pytest.fixture
def device(daemon: Daemon) -> Iterator[str]:
    """A terminal whose other end is guest 5's socket."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(daemon.path(5))
        threads = [
            threading.Thread(target=copy, args=(master, sock.fileno())),
            threading.Thread(target=copy, args=(sock.fileno(), master)),
        ]
        for thread in threads:
            thread.start()
        yield os.ttyname(slave)
        sock.shutdown(socket.SHUT_RDWR)
        # The reader of the terminal ends with its last user.
        os.close(slave)
        for thread in threads:
            thread.join(DEADLINE)
            assert not thread.is_alive()
    os.close(master)


def test_a_guest_works_through_the_device(daemon: Daemon, device: str) -> None:
    dom0 = daemon.client()
    dom0.write(b"/local/domain/5")
    dom0.chmod(b"/local/domain/5", b"n5")
    with closing(connect_store(device, xenbus=True)) as store:
        store.write("data/a", b"1\0\xff")
        assert store.read("data/a") == b"1\0\xff"
        store.watch("data", "t")
        assert next_events(store, 1) == [("data", "t")]
        dom0.write(b"/local/domain/5/data/b", bytes(1500))
        assert next_events(store, 1) == [("data/b", "t")]
        assert store.transact(lambda view: view.read("data/b")) == bytes(1500)
        with pytest.raises(PermissionError):
            store.read("/local/domain/6")


def test_what_the_kernel_says_of_a_request_is_its_answer() -> None:
    """Here of a device that has no room for any; the connection is as good as before."""
    channel = Channel("/dev/full", timeout=1, xenbus=True)
    link = Link(channel, lambda *_event: None, lambda: None)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left on device") as refused:
            link.call(Op.WATCH, b"data\0token\0", 0, timeout=1)
        assert refused.value.errno == errno.ENOSPC
        assert not link.broken
        assert not link.wants_to_send
    link.close("the test is over")


def test_no_device(tmp_path: object) -> None:
    with pytest.raises(StoreUnavailable, match="No such file"):
        connect_store(f"{tmp_path}/xenbus", xenbus=True)
