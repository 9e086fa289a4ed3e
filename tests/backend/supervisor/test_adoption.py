"""A supervisor ends, the next one comes: guests notice nothing, and what is wrong is told apart."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from backend import toolstack
from backend.share import Share
from backend.supervisor.processes import birth
from protocol.xenpv.ids import DOM0, Devid, Domid
from protocol.xenpv.xenbus import XenbusState as S
from tests.backend.supervisor.guest import Guest
from tests.backend.supervisor.program import Supervisor, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from protocol.xenpv.ports import Store

DEVICE = toolstack.ends(DOM0, Domid(5), Devid(0))


class Succession:
    """Supervisors of one run directory, one after the other."""

    def __init__(self, platform: str, store: Store, place: Path, stack: ExitStack) -> None:
        self.platform = platform
        self.store = store
        self._place = place
        self._stack = stack
        self.run_dir = place / "run"
        self.workers_dir = self.run_dir / "workers"
        self.now = self.next()

    def next(self, config: str = "") -> Supervisor:
        """Start one, and after the test end it."""
        file = self._place / "c.toml"
        file.write_text(config)
        self.now = self._stack.enter_context(
            Supervisor(self.platform, self.run_dir, "--config", str(file))
        )
        return self.now

    def pid(self, devid: int = 0) -> int:
        device = self.now.device(5, devid)
        assert device is not None
        pid: int = device["pid"]
        return pid

    def record(self, devid: int = 0) -> dict[str, object]:
        document: dict[str, object] = json.loads((self.workers_dir / f"5-{devid}.json").read_text())
        return document

    def forge(self, **changes: object) -> None:
        """Change what is on record of device 0."""
        path = self.workers_dir / "5-0.json"
        path.write_text(json.dumps(self.record() | changes))


@pytest.fixture
def reign(
    hypervisor: EmbeddedHypervisor, platform: str, store: Store, place: Path
) -> Iterator[Succession]:
    with ExitStack() as stack:
        # Each but the last leaves workers in its session: it ends after them.
        reign = Succession(platform, store, place, stack)
        yield reign
        assert reign.now.stop() == 0
        assert os.listdir(reign.workers_dir) == []
        for line in reign.now.lines:
            assert "Traceback" not in line, reign.now.lines
    wait_until(lambda: not hypervisor.leaks(), "leaks", hypervisor.leaks)


@pytest.fixture
def guest(reign: Succession, store: Store, platform: str, export: Path) -> Iterator[Guest]:
    attach(store, export)
    with Guest(platform, 5) as guest:
        guest.connect(rings=2)
        assert guest.version()[4] == 101
        yield guest


def attach(store: Store, path: Path, devid: int = 0) -> None:
    toolstack.attach(store, DOM0, Domid(5), Share(str(path)), f"files{devid}", devid=Devid(devid))


def alive(pid: int) -> bool:
    return birth(pid) is not None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_guest_is_served_without_a_supervisor_and_by_the_next(
    reign: Succession, guest: Guest, export: Path, number: int
) -> None:
    pid = reign.pid()
    for _ in range(3):
        assert reign.now.end(signal.Signals(number)) == (0 if number == signal.SIGTERM else -number)
        assert guest.version()[4] == 101
        assert guest.backend_state() is S.CONNECTED
        reign.next()
        device = reign.now.device(5)
        assert device is not None
        assert (device["pid"], device["answers"], device["rings"]) == (pid, True, 2)
        assert (device["state"], device["tag"]) == ("connected", "files0")
        assert device["adopted"] < device["uptime"]
        assert guest.version()[4] == 101
    # It does all that a supervisor does, and so does the worker.
    attach(reign.store, export, 1)
    with Guest(reign.platform, 5, 1) as other:
        other.connect()
        assert other.version()[4] == 101
        other.disconnect()
    guest.disconnect()
    guest.say(S.INITIALISING)
    guest.connect()
    assert guest.version()[4] == 101
    assert reign.pid() != pid
    guest.disconnect()


def test_nothing_is_written_to_xenstore(reign: Succession, guest: Guest, store: Store) -> None:
    store.watch(DEVICE.backend, "seen")
    store.events()
    reign.now.end(signal.SIGTERM)
    reign.next()
    assert reign.now.device(5) is not None
    assert store.events() in ([], [(DEVICE.backend, "seen")])
    store.unwatch(DEVICE.backend, "seen")
    guest.disconnect()


def test_what_went_meanwhile_is_let_go(
    reign: Succession, guest: Guest, store: Store, hypervisor: EmbeddedHypervisor
) -> None:
    pid = reign.pid()
    reign.now.end(signal.SIGTERM)
    hypervisor.destroy_domain(5)
    # Nothing tells the worker, and only it can let go of the pages: the next supervisor sees to it.
    assert alive(pid)
    reign.next()
    wait_until(lambda: not alive(pid), "the worker is still there")
    wait_until(lambda: not reign.now.status()["devices"], "the device is still known")


def test_the_worker_of_another_domain_of_the_same_number_is_let_go(
    reign: Succession, guest: Guest
) -> None:
    pid = reign.pid()
    reign.now.end(signal.SIGTERM)
    # As long as a worker has pages mapped, no other domain gets the number; should one, its UUID
    # is not what the record says.
    reign.forge(domain="/vm/of-an-earlier-domain")
    reign.next()
    guest.wait_backend(S.CLOSING)
    assert not alive(pid)
    guest.disconnect()
    guest.say(S.INITIALISING)
    guest.connect()
    assert guest.version()[4] == 101
    guest.disconnect()


def test_a_device_that_was_attached_anew_is_not_the_old_one(
    reign: Succession, guest: Guest, store: Store, platform: str, export: Path
) -> None:
    pid = reign.pid()
    reign.now.end(signal.SIGTERM)
    toolstack.remove(store, DEVICE)
    attach(store, export)
    reign.next()
    wait_until(lambda: not alive(pid), "the old worker is still there")
    guest.drop_rings()
    guest.connect()
    assert guest.error() is None
    assert guest.version()[4] == 101
    guest.disconnect()


def test_a_frontend_that_closed_meanwhile_is_followed(reign: Succession, guest: Guest) -> None:
    reign.now.end(signal.SIGTERM)
    guest.say(S.CLOSED)
    reign.next()
    guest.wait_backend(S.CLOSED)
    assert guest.error() is None


@pytest.mark.parametrize(
    ("node", "value", "reason"),
    [
        (
            "{backend}/path",
            b"/elsewhere",
            "its worker was started with path .*, and the node is /elsewhere now",
        ),
        (
            "{backend}/read-only",
            b"1",
            "its worker was started with read-only None, and the node is 1 now",
        ),
        ("{backend}/frontend-id", b"6", 'frontend-id is "6"'),
        ("{home}/ring-ref0", b"77", "its frontend has offered other rings"),
        ("{home}/event-channel-1", b"x", "event-channel-1 is 'x'"),
    ],
)
def test_a_device_that_is_another_now_is_closed(
    reign: Succession, guest: Guest, node: str, value: bytes, reason: str
) -> None:
    reign.now.end(signal.SIGTERM)
    reign.store.write(node.format(backend=guest.backend, home=guest.home), value)
    reign.next()
    guest.wait_backend(S.CLOSING)
    reign.now.wait_for_line(f"d5/0: closing: {reason}")
    guest.disconnect()


def test_what_the_configuration_forbids_now_is_closed(
    reign: Succession, guest: Guest, place: Path
) -> None:
    reign.now.end(signal.SIGTERM)
    reign.next(f'allowed-exports = ["{place}"]\n')
    assert guest.version()[4] == 101
    reign.now.end(signal.SIGTERM)
    reign.next('allowed-exports = ["/srv"]\n')
    guest.wait_backend(S.CLOSING)
    reign.now.wait_for_line("d5/0: closing: .* not below an entry of allowed-exports")
    guest.disconnect()


def test_a_wall_that_is_required_now_must_have_been_there(
    hypervisor: EmbeddedHypervisor, platform: str, place: Path, store: Store, export: Path
) -> None:
    with Supervisor(platform, place / "run", "--no-sandbox") as first:
        attach(store, export)
        with Guest(platform, 5) as guest:
            guest.connect()
            first.end(signal.SIGTERM)
            (place / "c.toml").write_text('[confinement]\nrequire = ["seccomp"]\n')
            config = ("--config", str(place / "c.toml"))
            with Supervisor(platform, place / "run", *config) as second:
                guest.wait_backend(S.CLOSING)
                second.wait_for_line("requires the wall seccomp: it is off")
                guest.disconnect()
    wait_until(lambda: not hypervisor.leaks(), "leaks", hypervisor.leaks)


def test_a_worker_that_died_without_a_supervisor(reign: Succession, guest: Guest) -> None:
    pid = reign.pid()
    reign.now.end(signal.SIGTERM)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), "it lives")
    reign.next()
    guest.wait_backend(S.CLOSING)
    assert guest.error() == "its worker ended while no supervisor ran"
    guest.disconnect()


def test_an_adopted_worker_that_dies_closes_its_device(reign: Succession, guest: Guest) -> None:
    reign.now.end(signal.SIGTERM)
    reign.next()
    os.kill(reign.pid(), signal.SIGKILL)
    guest.wait_backend(S.CLOSING)
    assert guest.error() == "worker died: nobody knows how"
    guest.disconnect()


def test_another_process_of_the_same_number_is_left_alone(reign: Succession, guest: Guest) -> None:
    pid = reign.pid()
    reign.now.end(signal.SIGTERM)
    born = reign.record()["birth"]
    assert isinstance(born, int)
    reign.forge(birth=born + 1)
    reign.next()
    guest.wait_backend(S.CLOSING)
    assert guest.error() == "its worker ended while no supervisor ran"
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)
    guest.disconnect()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 99}, "its record has format 99, and only 1 is known"),
        ({"ready": "nonsense"}, "its record is damaged"),
        ({"rings": 3}, "its record is damaged"),
        ({"platform": "xen"}, "it serves on platform xen"),
    ],
)
def test_a_worker_that_cannot_be_adopted_is_ended(
    reign: Succession, guest: Guest, changes: dict[str, object], reason: str
) -> None:
    pid = reign.pid()
    reign.now.end(signal.SIGTERM)
    reign.forge(**changes)
    reign.next()
    guest.wait_backend(S.CLOSING)
    assert (guest.error() or "").endswith(f"is of no use: {reason}")
    assert not alive(pid)
    guest.disconnect()


def test_a_worker_that_nobody_put_on_record_ends(
    reign: Succession, guest: Guest, store: Store
) -> None:
    """Its directory cannot be written: it serves, and ends with its supervisor."""
    guest.disconnect()
    (reign.workers_dir / "5-0.json.new").mkdir()
    guest.say(S.INITIALISING)
    guest.connect()
    reign.now.wait_for_line("d5/0: its worker ends with this supervisor: ")
    pid = reign.pid()
    reign.now.end(signal.SIGKILL)
    wait_until(lambda: not alive(pid), "the worker is still there")
    (reign.workers_dir / "5-0.json.new").rmdir()
    reign.next()
    guest.wait_backend(S.CLOSING)
    guest.disconnect()


def test_what_lies_about_is_removed(reign: Succession, guest: Guest) -> None:
    reign.now.end(signal.SIGTERM)
    for name in ("5-1.4711.sock", "5-0.json.new", "05-1.json", "x"):
        (reign.workers_dir / name).touch()
    (reign.workers_dir / "6-0.json").write_text('{"pid": "x"}')
    reign.next()
    assert sorted(os.listdir(reign.workers_dir)) == [f"5-0.{reign.pid()}.sock", "5-0.json"]
    guest.disconnect()
