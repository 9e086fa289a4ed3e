"""Whatever a client sends or does, the hypervisor serves the others, and nothing unforeseen happens
in it: ``leaks`` counts that, and the fixture checks it."""

from __future__ import annotations

import errno
import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.platform.embedded.handle import Handle
from backend.platform.embedded.hypercalls import CALLS
from backend.platform.embedded.hypervisor import EmbeddedHypervisor
from backend.platform.embedded.wire import MAX_PACKET, Kind, decode, encode
from protocol.xenpv.ids import DOM0, Domid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[4]

NAMES = sorted({name for calls in CALLS.values() for name in calls} - {"create_domain"} | {"open"})
VALUES: st.SearchStrategy[Any] = (
    st.integers()
    | st.integers(-2, 40)
    | st.text(max_size=5)
    | st.sampled_from([None, True, 1.5, float("inf"), [], {}, [[]], 1 << 64, 1 << 4000])
)
REQUESTS = st.fixed_dictionaries(
    {"call": st.sampled_from(NAMES) | VALUES},
    optional=dict.fromkeys(("domid", "count", "number", "port", "kind", "first"), VALUES),
)
PACKETS = st.binary(min_size=1, max_size=300) | st.builds(
    encode, REQUESTS, st.lists(st.integers(0, 0xFFFF_FFFF), max_size=5)
)


class Raw:
    """A connection that sends what it likes."""

    def __init__(self, rundir: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(10)
        self.sock.connect(os.path.join(rundir, "hypervisor"))

    def ask(self, packet: bytes) -> dict[str, Any]:
        self.sock.sendall(packet)
        answer, fds, _, _ = socket.recv_fds(self.sock, MAX_PACKET, 4)
        for fd in fds:
            os.close(fd)
        return decode(answer).fields


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHypervisor]:
    with EmbeddedHypervisor.start(tmp_path_factory.mktemp("hv")) as hypervisor:
        hypervisor.create_domain(5)
        yield hypervisor
        assert hypervisor.leaks() == []


@pytest.mark.parametrize("kind", [None, Kind.MAPPER, Kind.SHARER, Kind.EVENTS, Kind.CONTROL])
@settings(max_examples=60, deadline=None)
@given(packets=st.lists(PACKETS, min_size=1, max_size=8))
def test_any_packet_gets_an_answer(
    shared: EmbeddedHypervisor, kind: Kind | None, packets: list[bytes]
) -> None:
    """Every packet is answered by one object, an error has an errno and a text."""
    if 5 not in shared.domains():
        shared.create_domain(5)
    raw = Raw(shared.rundir)
    if kind is not None:
        domid = 0 if kind is Kind.CONTROL else 5
        assert raw.ask(encode({"call": "open", "kind": kind, "domid": domid})) == {}
    for packet in packets:
        answer = raw.ask(packet)
        if "error" in answer:
            assert answer["error"] != errno.EIO
            assert answer["text"]
    raw.sock.close()
    assert shared.domains()[0] == DOM0


def test_a_packet_too_long_is_refused_and_the_next_one_served(
    hypervisor: EmbeddedHypervisor,
) -> None:
    raw = Raw(hypervisor.rundir)
    assert raw.ask(b"x" * (MAX_PACKET + 1))["error"] == errno.EMSGSIZE
    assert raw.ask(encode({"call": "open", "kind": "mapper", "domid": 5})) == {}
    raw.sock.close()


def test_descriptors_sent_to_the_hypervisor_are_not_kept(hypervisor: EmbeddedHypervisor) -> None:
    raw = Raw(hypervisor.rundir)
    raw.ask(encode({"call": "open", "kind": "mapper", "domid": 5}))
    before = len(os.listdir(f"/proc/{hypervisor.pid}/fd"))
    for _ in range(50):
        socket.send_fds(raw.sock, [b"{}"], [0, 1, 2])
        raw.sock.recv(MAX_PACKET)
    assert len(os.listdir(f"/proc/{hypervisor.pid}/fd")) == before
    raw.sock.close()


def test_a_client_that_never_reads_its_answers_is_hung_up_on(
    hypervisor: EmbeddedHypervisor,
) -> None:
    raw = Raw(hypervisor.rundir)
    raw.ask(encode({"call": "open", "kind": "sharer", "domid": 5}))
    request = json.dumps({"call": "share", "domid": 0, "count": 100}).encode()

    def flood() -> None:
        for _ in range(10_000):
            raw.sock.sendall(request)

    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        flood()
    raw.sock.close()
    assert hypervisor.domains() == [0, 5]


def test_when_descriptors_run_out_clients_are_turned_away_until_some_are_free(
    hypervisor: EmbeddedHypervisor,
) -> None:
    events = hypervisor.platform(5).event_channels()
    used = len(os.listdir(f"/proc/{hypervisor.pid}/fd"))
    _, hard = resource.prlimit(hypervisor.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(hypervisor.pid, resource.RLIMIT_NOFILE, (used + 11, hard))
    handles: list[Handle] = []

    def exhaust(make: Callable[[], object]) -> None:
        for _ in range(20):
            make()

    with pytest.raises(OSError, match=r".") as error:
        exhaust(lambda: events.alloc_unbound(DOM0))
    assert error.value.errno == errno.EMFILE
    with pytest.raises(ConnectionResetError):
        exhaust(lambda: handles.append(Handle(hypervisor.rundir, Kind.MAPPER, DOM0)))
    events.close()
    handles.append(Handle(hypervisor.rundir, Kind.MAPPER, DOM0))
    for handle in handles:
        handle.close()


def test_a_client_without_descriptors_gets_emfile_and_keeps_its_handle(
    hypervisor: EmbeddedHypervisor,
) -> None:
    script = f"""
import errno, os, resource
from backend.platform import open_platform
guest = open_platform("embedded:{hypervisor.rundir}", domid=5)
events, sharer = guest.event_channels(), guest.grant_sharer()
limit = resource.getrlimit(resource.RLIMIT_NOFILE)
used = max(map(int, os.listdir("/proc/self/fd"))) + 1
for spare in (0, 1):
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + spare - 1, limit[1]))
    try:
        events.alloc_unbound(0)
    except OSError as error:
        print(errno.errorcode[error.errno])
resource.setrlimit(resource.RLIMIT_NOFILE, (used - 1, limit[1]))
try:
    sharer.share(0, 5)
except OSError as error:
    print(errno.errorcode[error.errno])
resource.setrlimit(resource.RLIMIT_NOFILE, limit)
port = events.alloc_unbound(0)
pages = sharer.share(0, 5)
print(port > 0, len(pages.memory))
from backend.platform.embedded.hypervisor import HypervisorControl
with HypervisorControl("{hypervisor.rundir}") as control:
    print(len(control.leaks()))
for thing in (events, pages, sharer):
    thing.close()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        cwd=ROOT,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.stderr == ""
    assert done.stdout.split("\n") == ["EMFILE", "EMFILE", "EMFILE", "True 20480", "4", ""]


def test_numbers_of_another_handle_mean_nothing(hypervisor: EmbeddedHypervisor) -> None:
    sharer = hypervisor.platform(5).grant_sharer()
    pages = sharer.share(DOM0, 1)
    other = Handle(hypervisor.rundir, Kind.SHARER, Domid(5))
    with pytest.raises(OSError, match="no such share"):
        other.call("end", number=1)
    mapper = Handle(hypervisor.rundir, Kind.MAPPER, DOM0)
    mapper.call("map", pages.grefs, domid=5).close()
    with pytest.raises(OSError, match="no such mapping"):
        mapper.call("unmap", number=2)
    with pytest.raises(OSError, match="has no such call"):
        mapper.call("share", domid=0, count=1)
    for thing in (mapper, other, pages, sharer):
        thing.close()
