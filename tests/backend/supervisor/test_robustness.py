"""Parts of the system fail, or are kept busy, and the rest goes on."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend import toolstack
from backend.share import Share
from protocol.xenpv.ids import DOM0, Devid, Domid
from protocol.xenpv.xenbus import XenbusState as S
from tests.backend.supervisor.guest import Guest
from tests.backend.supervisor.program import Supervisor, wait_until

if TYPE_CHECKING:
    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from protocol.xenpv.ports import Store


def attach(store: Store, export: Path, devid: int = 0) -> None:
    toolstack.attach(store, DOM0, Domid(5), Share(str(export)), f"files{devid}", devid=Devid(devid))


def command_line(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@pytest.mark.skipif(os.geteuid() != 0, reason="a worker's descriptors are shown to root only")
def test_worker_holds_its_own_descriptors_only(
    supervisor: Supervisor, store: Store, platform: str, export: Path
) -> None:
    for devid in range(3):
        attach(store, export, devid)
    with Guest(platform, 5) as one, Guest(platform, 5, 1) as two, Guest(platform, 5, 2) as three:
        counts = []
        for devid, guest in enumerate((one, two, three)):
            guest.connect()
            device = supervisor.device(5, devid)
            assert device is not None
            opened = list(Path(f"/proc/{device['pid']}/fd").iterdir())
            links = [os.readlink(fd) for fd in opened]
            # By what it is: in the worker's own namespace, the export has no name.
            assert sum(fd.samefile(export) for fd in opened if fd.exists()) == 1
            assert not [link for link in links if str(supervisor.run_dir) in link], links
            counts.append(len(links))
        # A worker that comes later has nothing of those before it.
        assert counts[0] == counts[1] == counts[2]
        for guest in (one, two, three):
            guest.disconnect()


def test_supervisor_gives_every_descriptor_back(
    supervisor: Supervisor, store: Store, platform: str, export: Path
) -> None:
    attach(store, export)

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{supervisor.process.pid}/fd"))

    with Guest(platform, 5) as guest:
        guest.connect()
        guest.disconnect()
        before = descriptors()
        for _ in range(5):
            guest.say(S.INITIALISING)
            guest.connect()
            guest.disconnect()
        wait_until(lambda: descriptors() == before, "descriptors are left", descriptors)


def test_fork_server_that_was_killed_is_started_again(
    supervisor: Supervisor, store: Store, platform: str, export: Path
) -> None:
    attach(store, export)
    attach(store, export, 1)
    with Guest(platform, 5) as guest, Guest(platform, 5, 1) as later:
        guest.connect()
        device = supervisor.device(5)
        assert device is not None
        (fork_server,) = (
            pid
            for pid in supervisor.session()
            if "multiprocessing.forkserver" in command_line(pid) and pid != device["pid"]
        )
        os.kill(fork_server, signal.SIGKILL)
        later.connect()
        assert later.version()[4] == 101
        # The one that was there before lives on, and its end is still seen.
        same = supervisor.device(5)
        assert same is not None
        assert same["pid"] == device["pid"]
        assert guest.version()[4] == 101
        os.kill(device["pid"], signal.SIGKILL)
        guest.wait_backend(S.CLOSING)
        assert guest.error() == "worker died: nobody knows how"
        guest.disconnect()
        later.disconnect()


def test_status_is_answered_while_a_guest_floods_its_event_channel(
    supervisor: Supervisor, store: Store, platform: str, export: Path
) -> None:
    attach(store, export)
    with Guest(platform, 5) as guest:
        guest.connect()
        # A handle of its own: the flood must not share the guest's.
        stop = threading.Event()
        port, events = guest.rings[0].port, guest.events

        def flood() -> None:
            while not stop.is_set():
                events.notify(port)

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            for _ in range(5):
                device = supervisor.device(5)
                assert device is not None
                assert device["answers"] is True
        finally:
            stop.set()
            thread.join()
        assert guest.version()[4] == 101
        guest.disconnect()


def test_exports_outside_the_allowed_ones_are_refused(
    hypervisor: EmbeddedHypervisor, platform: str, place: Path, store: Store, export: Path
) -> None:
    (place / "c.toml").write_text(f'allowed-exports = ["{place}/srv"]\n')
    (place / "srv" / "inside").mkdir(parents=True)
    (place / "srv" / "link").symlink_to(export)
    with Supervisor(platform, place / "run", "--config", str(place / "c.toml")):
        for devid, path in enumerate((export, place / "srv" / "link")):
            attach(store, path, devid)
            device = toolstack.ends(DOM0, Domid(5), Devid(devid))
            toolstack.wait_for(store, device, lambda state: state is S.CLOSED, 20)
            reason = toolstack.why_closed(store, device) or ""
            assert f"lies at {export}, which is not below an entry of allowed-exports" in reason
        attach(store, place / "srv" / "inside", 2)
        with Guest(platform, 5, 2) as guest:
            guest.connect()
            assert guest.version()[4] == 101
            guest.disconnect()
    assert hypervisor.domains() == [0, 5]


def test_supervisor_without_xenstore_says_so_and_stops_in_order(
    hypervisor: EmbeddedHypervisor, platform: str, place: Path, store: Store, export: Path
) -> None:
    with Supervisor(platform, place / "run") as supervisor:
        attach(store, export)
        guest = Guest(platform, 5)
        guest.connect()
        hypervisor.kill()
        supervisor.wait_for_line("XenStore: .*; trying again")
        assert supervisor.device(5) is not None
        assert supervisor.stop() == 0
        assert not [line for line in supervisor.lines if "Traceback" in line], supervisor.lines
        guest.close()


def test_trace_shows_what_was_said(
    hypervisor: EmbeddedHypervisor, platform: str, place: Path, store: Store, export: Path
) -> None:
    trace = place / "trace.pcap"
    with Supervisor(platform, place / "run", "--trace", str(trace)):
        attach(store, export)
        with Guest(platform, 5) as guest:
            guest.connect()
            assert guest.version()[4] == 101
            guest.disconnect()
    assert trace.read_bytes().count(b"9P2000.L") == 2
    wait_until(lambda: not hypervisor.leaks(), "leaks", hypervisor.leaks)
