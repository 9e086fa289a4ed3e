"""A device as libxl makes it, with the meaning that Xen's manual gives its nodes, and its end."""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING

import pytest

from backend import toolstack
from protocol.xenpv.xenbus import XenbusState as S
from tests.backend.hook import libxl
from tests.backend.supervisor.guest import HEADER, Guest
from tests.backend.supervisor.program import Supervisor, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protocol.xenpv.ports import Store

LIBXL_SECONDS = 10.0
"""LIBXL_INIT_TIMEOUT and LIBXL_DESTROY_TIMEOUT."""


@pytest.fixture
def guest(supervisor: Supervisor, store: Store, platform: str) -> Iterator[Guest]:
    """Domain 5, whose device 0 is for the test to add."""
    with Guest(platform, 5) as guest:
        yield guest


def request(guest: Guest, kind: int, body: bytes) -> tuple[int, bytes]:
    """A message of 9P2000.L and its reply: type and body."""
    guest.send(HEADER.pack(HEADER.size + len(body), kind, 1) + body)
    reply = guest.receive()
    return reply[4], reply[HEADER.size :]


def text(name: str) -> bytes:
    return struct.pack("<H", len(name)) + name.encode()


def create(guest: Guest, fid: int, name: str) -> int | None:
    """Create and open a file as ``fid``; the errno, or ``None``."""
    assert request(guest, 110, struct.pack("<IIH", 0, fid, 0))[0] == 111  # Twalk clones the root
    kind, body = request(
        guest, 14, struct.pack("<I", fid) + text(name) + struct.pack("<III", 0o102, 0o644, 0)
    )
    return None if kind == 15 else struct.unpack_from("<I", body)[0]


def attach(guest: Guest) -> None:
    """Connect, and have fid 0 stand for the root."""
    guest.connect()
    assert guest.version()[4] == 101
    body = struct.pack("<II", 0, 0xFFFFFFFF) + text("") + text("") + struct.pack("<I", 0)
    assert request(guest, 104, body)[0] == 105


def test_offered_in_time_and_the_directory_is_made(guest: Guest, store: Store, place: Path) -> None:
    path = place / "guests" / "name"
    device = libxl.add(store, 5, 0, str(path))
    assert toolstack.wait_for(store, device, lambda s: s is S.INIT_WAIT, LIBXL_SECONDS) is (
        S.INIT_WAIT
    )
    assert [stat.S_IMODE(made.stat().st_mode) for made in (path.parent, path)] == [0o750, 0o750]
    attach(guest)
    assert create(guest, 1, "file") is None
    assert os.listdir(path) == ["file"]
    guest.disconnect()


def test_limits_of_the_nodes_hold(guest: Guest, store: Store, export: Path) -> None:
    libxl.add(store, 5, 0, str(export), max_files="3", max_open_files="2", max_space="1")
    attach(guest)
    assert create(guest, 1, "one") is None
    assert create(guest, 2, "two") is None
    assert create(guest, 3, "three") == 24  # EMFILE
    for fid in (1, 2):
        assert request(guest, 120, struct.pack("<I", fid))[0] == 121
    assert create(guest, 4, "four") == 122  # EDQUOT: "hello" is the first of three
    guest.disconnect()


def test_auto_delete_without_a_limit_deletes_nothing(
    guest: Guest, store: Store, export: Path
) -> None:
    """``xl`` accepts it, so it must be served."""
    libxl.add(store, 5, 0, str(export), auto_delete="1")
    attach(guest)
    assert create(guest, 1, "file") is None
    assert sorted(os.listdir(export)) == ["file", "hello"]
    guest.disconnect()


def test_auto_delete_makes_room(guest: Guest, store: Store, export: Path) -> None:
    libxl.add(store, 5, 0, str(export), auto_delete="1", max_files="1")
    attach(guest)
    assert create(guest, 1, "file") is None
    assert os.listdir(export) == ["file"]
    guest.disconnect()


def test_security_model_that_nobody_knows_is_refused_with_its_name(
    guest: Guest, store: Store, export: Path
) -> None:
    libxl.add(store, 5, 0, str(export), security_model="passthrough")
    guest.wait_backend(S.CLOSING, S.CLOSED)
    assert 'security_model is "passthrough"' in (guest.error() or "")


@pytest.mark.parametrize("destroy", [False, True])
@pytest.mark.parametrize("connected", [False, True])
def test_removal(
    guest: Guest, supervisor: Supervisor, store: Store, *, connected: bool, destroy: bool
) -> None:
    device = libxl.add(store, 5, 0, f"{supervisor.run_dir.parent}/export")
    guest.wait_backend(S.INIT_WAIT)
    if connected:
        guest.connect()
    libxl.ask_to_close(store, device, destroy=destroy)
    if not destroy:
        guest.wait_backend(S.CLOSING, S.CLOSED)
        guest.say(S.CLOSED)
    assert toolstack.wait_for(store, device, lambda s: s is S.CLOSED, LIBXL_SECONDS) is S.CLOSED
    guest.drop_rings()
    toolstack.remove(store, device)
    wait_until(lambda: supervisor.device(5) is None, "the device is still known")
