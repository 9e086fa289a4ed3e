"""A guest that has broken into its worker faces the next supervisor, which neither waits nor errs.

The worker is a process of ours that the record is made to name.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from backend import toolstack
from backend.platform import open_platform
from backend.share import Share
from backend.supervisor.processes import birth
from protocol.xenpv.ids import DOM0, Devid, Domid
from protocol.xenpv.xenbus import XenbusState as S
from tests.backend.supervisor.guest import Guest
from tests.backend.supervisor.program import PATIENCE, Supervisor, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor

LISTEN = """
import os, signal, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(f"5-0.{os.getpid()}.sock")
"""
SAYS = "listener.listen(); print(flush=True)\n"
MEET = f"{LISTEN}{SAYS}supervisor, _ = listener.accept()\n"

ANSWERS_NOBODY = f"{LISTEN}{SAYS}signal.pause()"
HANGS_UP = f"{MEET}supervisor.close(); signal.pause()"
FLOODS_WITH_NONSENSE = f"{MEET}\nwhile True: supervisor.send(b'x' * 9000)"
FLOODS_WITH_REPORTS = f"""{MEET}
while True: supervisor.send(b'{{"type": "Report", "number": 1, "figures": {{"fids": 3}}}}')
"""
STARTS_ANEW = f"""{MEET}
supervisor.send(b'{{"type": "Ready", "rings": 9, "order": 9, "walls": {{}}}}'); signal.pause()
"""
LISTENS_NO_MORE = f"{LISTEN}{SAYS}listener.close(); signal.pause()"
LETS_NOBODY_COME = f"""{LISTEN}
listener.listen(0)
print(flush=True)
own = []
while True:
    own.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    own[-1].setblocking(False)
    try: own[-1].connect(listener.getsockname())
    except BlockingIOError: break
print(flush=True)
signal.pause()
"""


@pytest.fixture
def guests(
    hypervisor: EmbeddedHypervisor, platform: str, place: Path, export: Path
) -> Iterator[tuple[Guest, Guest]]:
    """A guest and its neighbour, who were connected by a supervisor that has left."""
    hypervisor.create_domain(5)
    store = open_platform(platform).store()
    (place / "c.toml").write_text("[timeouts]\nstop = 0.3\nclose = 0.3\n")
    with Supervisor(platform, place / "run") as first:
        for devid in (0, 1):
            share = Share(str(export))
            toolstack.attach(store, DOM0, Domid(5), share, f"t{devid}", devid=Devid(devid))
        with Guest(platform, 5) as guest, Guest(platform, 5, 1) as other:
            guest.connect()
            other.connect()
            first.end(signal.SIGTERM)
            yield guest, other
    store.close()
    wait_until(lambda: not hypervisor.leaks(), "leaks", hypervisor.leaks)


@contextmanager
def worker(place: Path, script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that behaves as ``script`` says, in the place of device 0's worker."""
    directory = place / "run" / "workers"
    path = directory / "5-0.json"
    record = json.loads(path.read_text())
    os.kill(record["pid"], signal.SIGKILL)
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=directory, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            for _ in range(script.count("print(")):
                process.stdout.readline()
            record |= {"pid": process.pid, "birth": birth(process.pid)}
            path.write_text(json.dumps(record))
            yield process
        finally:
            process.kill()


@contextmanager
def next_supervisor(platform: str, place: Path) -> Iterator[Supervisor]:
    with Supervisor(platform, place / "run", "--config", str(place / "c.toml")) as supervisor:
        yield supervisor
        assert supervisor.stop() == 0
        assert not [line for line in supervisor.lines if "Traceback" in line], supervisor.lines


@pytest.mark.parametrize("script", [ANSWERS_NOBODY, FLOODS_WITH_REPORTS, STARTS_ANEW])
def test_one_that_does_not_serve_is_killed_with_its_device(
    guests: tuple[Guest, Guest], platform: str, place: Path, script: str
) -> None:
    guest, other = guests
    with worker(place, script) as process, next_supervisor(platform, place) as supervisor:
        device, neighbour = supervisor.device(5), supervisor.device(5, 1)
        assert device is not None
        assert neighbour is not None
        assert (device["pid"], device["state"]) == (process.pid, "connected")
        assert (neighbour["state"], neighbour["answers"]) == ("connected", True)
        # What it claims to have is not believed.
        assert (device["rings"], device["order"]) == (1, 1)
        assert other.version()[4] == 101
        guest.disconnect()
        assert process.wait(PATIENCE) == -signal.SIGKILL
        other.disconnect()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (HANGS_UP, "worker died: nobody knows how"),
        (FLOODS_WITH_NONSENSE, "worker talks nonsense: a packet of more than 8192 bytes"),
        (LISTENS_NO_MORE, "is of no use: it cannot be reached: Connection refused"),
        (LETS_NOBODY_COME, "is of no use: it cannot be reached: Resource temporarily unavailable"),
    ],
)
def test_one_that_cannot_be_used_is_killed_at_once(
    guests: tuple[Guest, Guest], platform: str, place: Path, script: str, reason: str
) -> None:
    guest, other = guests
    with worker(place, script) as process, next_supervisor(platform, place) as supervisor:
        supervisor.wait_for_line(f"d5/0: closing: .*{reason}")
        assert process.wait(PATIENCE) == -signal.SIGKILL
        assert other.version()[4] == 101
        guest.drop_rings()
        guest.say(S.CLOSED)
        guest.wait_backend(S.CLOSED)
        guest.say(S.INITIALISING)
        guest.connect()
        assert guest.version()[4] == 101
        guest.disconnect()
        other.disconnect()
