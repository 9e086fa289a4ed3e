"""What frontends and toolstacks get wrong: the device says why, all others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend import toolstack
from backend.share import Share
from protocol.xenpv.ids import DOM0, Devid, Domid
from protocol.xenpv.xenbus import XenbusState as S
from tests.backend.supervisor.guest import Guest
from tests.backend.supervisor.program import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from protocol.xenpv.ports import Store
    from tests.backend.supervisor.program import Supervisor

ROOT = "/local/domain/0/backend/xen_9pfs"


@pytest.fixture
def guest(supervisor: Supervisor, store: Store, platform: str, export: Path) -> Iterator[Guest]:
    """A guest whose device waits for it, and which afterwards connects as it should."""
    share = Share(str(export))
    for devid in (0, 1):
        toolstack.attach(store, DOM0, Domid(5), share, f"files{devid}", devid=Devid(devid))
    with Guest(platform, 5) as guest, Guest(platform, 5, 1) as other:
        other.connect()
        guest.wait_backend(S.INIT_WAIT)
        yield guest
        assert other.version()[4] == 101, "another device was harmed"
        guest.drop_rings()
        guest.say(S.CLOSED)
        guest.wait_backend(S.CLOSED)
        guest.say(S.INITIALISING)
        guest.connect()
        assert guest.error() is None
        assert guest.version()[4] == 101
        closings = [line for line in supervisor.lines if "d5/0: closing: " in line]
        assert len(closings) == 1, closings


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": None}, "version is missing; only 1 is spoken"),
        ({"version": b"2"}, "version is '2'; only 1 is spoken"),
        ({"num_rings": b"0"}, "num-rings is '0'; it must be a number from 1 to 4"),
        ({"num_rings": b"99"}, "num-rings is '99'; it must be a number from 1 to 4"),
        ({"num_rings": b"2"}, "ring-ref1 is missing"),
        ({"num_rings": b"x" * 2000}, "and 1968 bytes more; it must be a number"),
        ({"num_rings": b"\x00\xff\n"}, r"num-rings is '\x00\xff\n'; it must be a number"),
        ({"ring_ref0": b"0"}, "ring-ref0 is '0'; it must be a number from 1 to 4294967295"),
        ({"ring_ref0": b"-1"}, "ring-ref0 is '-1'; it must be a number"),
        ({"ring_ref0": b"4294967295"}, "ring-ref0 4294967295: cannot be mapped"),
        ({"event_channel_0": b"0"}, "event-channel-0 is '0'; it must be a number"),
        ({"event_channel_0": b"4095"}, "event-channel-0 4095: cannot be bound"),
        ({"event_channel_0": b"4294967295"}, "event-channel-0 4294967295: cannot be bound"),
    ],
)
def test_bad_node(guest: Guest, changes: dict[str, bytes | None], reason: str) -> None:
    guest.share_ring()
    guest.publish(**changes)
    guest.wait_backend(S.CLOSING, S.CLOSED)
    assert reason in (guest.error() or "")


@pytest.mark.parametrize("order", [0, 10, 11, 31, 0xFFFFFFFF])
def test_bad_ring_order(guest: Guest, order: int) -> None:
    guest.share_ring(written_order=order)
    guest.publish()
    guest.wait_backend(S.CLOSING, S.CLOSED)
    assert guest.error() == f"ring 0: ring_order is {order}; it must be 1 to 9"


def test_bad_data_page(guest: Guest) -> None:
    ring = guest.share_ring(order=3)
    ring.page.memory[132 + 4 * 5 : 132 + 4 * 6] = b"\xff\xff\xff\x7f"
    guest.publish()
    guest.wait_backend(S.CLOSING, S.CLOSED)
    assert "ring 0: its 8 data pages cannot be mapped" in (guest.error() or "")


def test_event_channel_of_another_ring(guest: Guest) -> None:
    first, second = guest.share_ring(), guest.share_ring()
    guest.publish(event_channel_1=b"%d" % first.port)
    guest.wait_backend(S.CLOSING, S.CLOSED)
    assert "name the same one twice" in (guest.error() or "")
    assert second.port != first.port


@pytest.mark.parametrize("index", [1 << 14, 0x7FFFFFFF, 0xFFFFFFFF])
def test_impossible_index_before_connecting(guest: Guest, index: int) -> None:
    ring = guest.share_ring()
    ring.words[17] = index  # out_prod, our own, moved behind the backend's back
    guest.publish()
    guest.wait_backend(S.CLOSING, S.CLOSED)
    assert "do not fit a ring of 4096 bytes" in (guest.error() or "")


@pytest.mark.parametrize("word", [0, 17])
def test_impossible_index_while_connected(guest: Guest, word: int) -> None:
    guest.connect()
    assert guest.version()[4] == 101
    ring = guest.rings[0]
    if word == 0:
        # in_cons counts when there is a reply to be sent.
        frame = bytes.fromhex("13000000 64 ffff 00200000 0600".replace(" ", "")) + b"9P2000"
        ring.requests.put(0, frame)
        ring.words[word] = 0x8000_0000
        ring.requests.advance(len(frame))
    else:
        ring.words[word] = 0x8000_0000
    guest.events.notify(ring.port)
    guest.wait_backend(S.CLOSING, S.CLOSED)
    assert "do not fit a ring of 4096 bytes" in (guest.error() or "")


def test_size_that_no_message_has(guest: Guest) -> None:
    guest.connect()
    guest.send(b"\x06\x00\x00\x00\x64\xff\xff")
    guest.wait_backend(S.CLOSING, S.CLOSED)
    assert "a message of 6 bytes" in (guest.error() or "")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda place: place / "file" / "below",
            "file/below: not there, and not made: Not a directory",
        ),
        (lambda place: place / "file", "file: Not a directory"),
        (lambda _place: "relative", 'export path "relative": it must be absolute'),
    ],
)
def test_bad_export_path(
    supervisor: Supervisor,
    store: Store,
    place: Path,
    make: Callable[[Path], object],
    reason: str,
) -> None:
    (place / "file").write_text("")
    share = Share(str(place))
    # A toolstack that is not ours may write what no ``Share`` of ours can hold.
    object.__setattr__(share, "path", str(make(place)))
    toolstack.attach(store, DOM0, Domid(5), share, "files", devid=Devid(0))
    with Guest(f"embedded:{place / 'hv'}", 5) as guest:
        guest.wait_backend(S.CLOSED)
        assert reason in (guest.error() or "")
        device = supervisor.device(5)
        assert device is not None
        assert reason in device["error"]
        # The administrator puts it right.
        (place / "good").mkdir()
        store.write(f"{guest.backend}/path", str(place / "good").encode())
        guest.connect()
        assert guest.error() is None
        assert guest.version()[4] == 101
        guest.disconnect()


def test_export_that_goes_away_before_the_guest_connects(guest: Guest, export: Path) -> None:
    export.rename(export.with_name("elsewhere"))
    guest.share_ring()
    guest.publish()
    guest.wait_backend(S.CLOSING, S.CLOSED)
    assert guest.error() == f"export path {export}: No such file or directory"
    export.with_name("elsewhere").rename(export)


@pytest.mark.parametrize("name", ["x/0", "5/x", "05/0", "5/00", "32752/0"])
def test_directory_that_is_no_device(supervisor: Supervisor, store: Store, name: str) -> None:
    store.write(f"{ROOT}/{name}/state", b"1")
    wait_until(lambda: store.read(f"{ROOT}/{name}/state") == b"6", "it is not refused")
    assert b"a domain's and a device's number" in store.read(f"{ROOT}/{name}/error")
    assert supervisor.status()["devices"] == []
    store.rm(f"{ROOT}/{name}")


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ({"frontend": "/local/domain/6/device/9pfs/0"}, "it must lie below /local/domain/5"),
        ({"frontend": "/local/domain/55/device/9pfs/0"}, "it must lie below /local/domain/5"),
        ({"frontend-id": "6"}, 'frontend-id is "6"; it must be 5, as the path'),
        ({"path": None}, "path is missing"),
    ],
)
def test_bad_toolstack_nodes(
    supervisor: Supervisor, store: Store, export: Path, nodes: dict[str, str | None], reason: str
) -> None:
    device = toolstack.ends(DOM0, Domid(5), Devid(0))
    good = {
        "frontend": device.frontend,
        "frontend-id": "5",
        "path": str(export),
        "state": "1",
    }
    for name, value in {**good, **nodes}.items():
        if value is not None:
            store.write(f"{device.backend}/{name}", value.encode())
    state = toolstack.wait_for(store, device, lambda state: state is S.CLOSED, 20)
    assert state is S.CLOSED
    assert reason in (toolstack.why_closed(store, device) or "")
    assert supervisor.process.poll() is None


def test_guest_that_rewrites_its_state_without_end_starves_nobody(
    supervisor: Supervisor, store: Store, platform: str, export: Path
) -> None:
    for devid in (0, 1):
        toolstack.attach(
            store, DOM0, Domid(5), Share(str(export)), f"files{devid}", devid=Devid(devid)
        )
    with Guest(platform, 5) as storm, Guest(platform, 5, 1) as other:
        storm.wait_backend(S.INIT_WAIT)
        written = 0
        while not any("d5/0: too many changes" in line for line in supervisor.lines):
            storm.say(S.INITIALISING if written % 2 else S.CLOSED)
            written += 1
            assert written < 100_000
        other.connect()
        assert other.version()[4] == 101
        # When it comes to its senses it is served.
        storm.say(S.INITIALISING)
        storm.connect()
        assert storm.version()[4] == 101
