"""Devices come, connect, disconnect, come back, are unplugged, and die with their domain."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from backend import toolstack
from backend.share import Share
from backend.toolstack import ToolstackError
from protocol.xenpv.ids import DOM0, Devid, Domid
from protocol.xenpv.xenbus import XenbusState as S
from tests.backend.supervisor.guest import Guest
from tests.backend.supervisor.program import PATIENCE, Program, Supervisor, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from protocol.xenpv.ports import Store

DEVICE = toolstack.ends(DOM0, Domid(5), Devid(0))


def attach(store: Store, path: Path | str, domid: int = 5, devid: int = 0) -> None:
    number = toolstack.attach(
        store, DOM0, Domid(domid), Share(str(path)), f"files{devid}", devid=Devid(devid)
    )
    assert number == devid


def test_device_connects_and_serves(
    supervisor: Supervisor, store: Store, platform: str, export: Path
) -> None:
    attach(store, export)
    with Guest(platform, 5) as guest:
        guest.connect(rings=2, order=2)
        assert guest.read(f"{guest.backend}/versions") == b"1"
        assert guest.version(ring=1)[4] == 101
        device = supervisor.device(5)
        assert device is not None
        assert device["state"] == "connected"
        assert (device["rings"], device["order"], device["tag"]) == (2, 2, "files0")
        assert device["domain"] == "embedded-5"
        assert (device["dialect"], device["requests"]) == ("9P2000.L", 1)
        assert device["path"] == str(export)
        guest.disconnect()
    supervisor.wait_for_line(r"^info: d5/0: connected: 2 rings of order 2, worker \d+$")


def test_what_lies_in_a_ring_before_connected_is_answered(
    supervisor: Supervisor, store: Store, platform: str, export: Path
) -> None:
    attach(store, export)
    with Guest(platform, 5) as guest:
        guest.wait_backend(S.INIT_WAIT)
        guest.share_ring()
        guest.send(bytes.fromhex("15000000 64 ffff 00200000 0800".replace(" ", "")) + b"9P2000.L")
        guest.publish()
        assert guest.receive()[4] == 101
        guest.wait_backend(S.CONNECTED)
        guest.disconnect()
    assert supervisor.status()["devices"]


def test_frontend_comes_back_after_closed(
    supervisor: Supervisor, store: Store, platform: str, export: Path
) -> None:
    attach(store, export)
    with Guest(platform, 5) as guest:
        workers = set()
        for _ in range(3):
            guest.connect()
            assert guest.version()[4] == 101
            device = supervisor.device(5)
            assert device is not None
            workers.add(device["pid"])
            guest.disconnect()
            guest.say(S.INITIALISING)
        guest.wait_backend(S.INIT_WAIT)
        assert len(workers) == 3


def test_frontend_that_was_killed_is_followed_by_a_new_one(
    supervisor: Supervisor, store: Store, platform: str, export: Path
) -> None:
    attach(store, export)
    with Guest(platform, 5) as first:
        first.connect()
    # Its rings are gone without a word; the next one begins anew.
    with Guest(platform, 5) as second:
        second.say(S.INITIALISING)
        second.connect()
        assert second.version()[4] == 101
        second.disconnect()
    assert supervisor.process.poll() is None


def test_unplug_closes_and_removes(
    supervisor: Supervisor, store: Store, platform: str, export: Path
) -> None:
    attach(store, export)
    with Guest(platform, 5) as guest:
        guest.connect()
        toolstack.ask_to_close(store, DEVICE)
        guest.wait_backend(S.CLOSING)
        guest.say(S.CLOSED)
        assert toolstack.wait_for(store, DEVICE, lambda state: state is S.CLOSED, 20) is S.CLOSED
        toolstack.remove(store, DEVICE)
        assert guest.read(DEVICE.frontend) is None
        wait_until(lambda: supervisor.device(5) is None, "the device is still known")
    with pytest.raises(FileNotFoundError):
        store.list("/local/domain/0/backend/xen_9pfs/5")


def test_unplug_of_a_frontend_that_does_not_answer_is_bounded(
    hypervisor: EmbeddedHypervisor, platform: str, place: Path, store: Store, export: Path
) -> None:
    (place / "c.toml").write_text("[timeouts]\nclose = 0.2\n")
    with Supervisor(platform, place / "run", "--config", str(place / "c.toml")) as supervisor:
        attach(store, export)
        with Guest(platform, 5) as guest:
            guest.connect()
            toolstack.ask_to_close(store, DEVICE)
            guest.wait_backend(S.CLOSED)
            supervisor.wait_for_line("d5/0: the frontend does not close; closed without it")
            # It wakes up at last, and may begin anew if it is not to be unplugged any more.
            guest.drop_rings()
            guest.say(S.INITIALISING)
            store.write(f"{DEVICE.backend}/online", b"1")
            guest.connect()
            assert guest.version()[4] == 101
    wait_until(lambda: not hypervisor.leaks(), "leaks", hypervisor.leaks)


def test_dead_domain_leaves_nothing(
    supervisor: Supervisor,
    hypervisor: EmbeddedHypervisor,
    store: Store,
    platform: str,
    export: Path,
) -> None:
    attach(store, export)
    attach(store, export, devid=1)
    hypervisor.create_domain(6)
    attach(store, export, domid=6)
    with Guest(platform, 6) as other:
        other.connect()
        with Guest(platform, 5) as guest:
            guest.connect()
            hypervisor.destroy_domain(5)
            wait_until(
                lambda: store.list("/local/domain/0/backend/xen_9pfs") == ["6"],
                "nodes are left",
                lambda: store.list("/local/domain/0/backend/xen_9pfs"),
            )
        wait_until(lambda: len(supervisor.status()["devices"]) == 1, "devices are left")
        assert other.version()[4] == 101
        # The number is used again by another domain.
        hypervisor.create_domain(5)
        attach(store, export)
        with Guest(platform, 5) as again:
            again.connect()
            assert again.version()[4] == 101
            again.disconnect()
        other.disconnect()


def test_killed_worker_closes_its_device_only(
    supervisor: Supervisor, store: Store, platform: str, export: Path
) -> None:
    attach(store, export)
    attach(store, export, devid=1)
    with Guest(platform, 5) as guest, Guest(platform, 5, 1) as other:
        guest.connect()
        other.connect()
        device = supervisor.device(5)
        assert device is not None
        os.kill(device["pid"], signal.SIGKILL)
        guest.wait_backend(S.CLOSING)
        assert guest.error() == "worker died: signal 9"
        assert other.version()[4] == 101
        guest.disconnect()
        guest.say(S.INITIALISING)
        guest.connect()
        assert guest.error() is None
        assert guest.version()[4] == 101


def test_hanging_worker_is_shown_and_killed(
    hypervisor: EmbeddedHypervisor, platform: str, place: Path, store: Store, export: Path
) -> None:
    (place / "c.toml").write_text("[timeouts]\nstop = 0.2\n")
    with Supervisor(platform, place / "run", "--config", str(place / "c.toml")) as supervisor:
        attach(store, export)
        attach(store, export, devid=1)
        with Guest(platform, 5) as guest, Guest(platform, 5, 1) as other:
            guest.connect()
            other.connect()
            device = supervisor.device(5)
            assert device is not None
            os.kill(device["pid"], signal.SIGSTOP)
            shown = supervisor.device(5)
            assert shown is not None
            assert shown["answers"] is False
            assert shown["pid"] == device["pid"]
            healthy = supervisor.device(5, 1)
            assert healthy is not None
            assert healthy["answers"] is True
            guest.disconnect()
            supervisor.wait_for_line(rf"d5/0: worker {device['pid']} does not stop; killed")
            other.disconnect()
    wait_until(lambda: not hypervisor.leaks(), "leaks", hypervisor.leaks)


@pytest.mark.parametrize("how", ["signal", "command"])
def test_stop_closes_devices_in_order(
    supervisor: Supervisor, store: Store, platform: str, export: Path, how: str
) -> None:
    attach(store, export)
    attach(store, export, devid=1)
    with Guest(platform, 5) as guest:
        guest.connect()
        if how == "signal":
            supervisor.process.send_signal(signal.SIGINT)
            command = None
        else:
            command = Program("stop", "--run-dir", str(supervisor.run_dir))
        guest.wait_backend(S.CLOSING)
        guest.say(S.CLOSED)
        guest.wait_backend(S.CLOSED)
        assert supervisor.process.wait(PATIENCE) == 0
        if command is not None:
            assert command.process.wait(PATIENCE) == 0
            command.stop()
        assert guest.error() is None
    # A device that waits for its frontend is left to the next supervisor.
    assert store.read("/local/domain/0/backend/xen_9pfs/5/1/state") == b"2"


def test_second_stop_does_not_wait(
    supervisor: Supervisor, store: Store, platform: str, export: Path
) -> None:
    attach(store, export)
    with Guest(platform, 5) as guest:
        guest.connect()
        supervisor.process.send_signal(signal.SIGINT)
        guest.wait_backend(S.CLOSING)
        assert supervisor.stop() == 0  # the frontend never closed


def test_second_supervisor_is_refused(supervisor: Supervisor, platform: str) -> None:
    from tests.backend.supervisor.program import Program

    with Program("run", "--platform", platform, "--run-dir", str(supervisor.run_dir)) as second:
        assert second.process.wait(20) == 1
        second.wait_for_line(r"^xen-fileproxy: error: a supervisor is running already with run-dir")
    assert supervisor.status()["pid"] == supervisor.process.pid


def test_attach_refuses_what_is_there_or_has_no_domain(store: Store, export: Path) -> None:
    attach(store, export)
    with pytest.raises(ToolstackError, match="has a device 0 already"):
        attach(store, export)
    assert toolstack.attach(store, DOM0, Domid(5), Share(str(export)), "x", devid=None) == 1
    with pytest.raises(ToolstackError, match="domain 77: no such domain"):
        attach(store, export, domid=77)
    assert store.list("/local/domain/0/backend/xen_9pfs") == ["5"]


def test_attach_gives_each_end_its_rights(store: Store, export: Path) -> None:
    attach(store, export)
    assert store.get_permissions(DEVICE.backend) == ["n0", "r5"]
    assert store.get_permissions(f"{DEVICE.backend}/state") == ["n0", "r5"]
    assert store.get_permissions(DEVICE.frontend) == ["n5", "r0"]
    assert store.get_permissions(f"{DEVICE.frontend}/tag") == ["n5", "r0"]
