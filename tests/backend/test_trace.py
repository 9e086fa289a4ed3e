"""The capture that ``--trace`` writes: sound packets, whole streams, never a failed request."""

from __future__ import annotations

import logging
import os
import stat
import struct
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from backend.trace import SEGMENT, TraceWriter
from protocol.ninep.codec import encode
from protocol.ninep.ids import Fid, Tag
from protocol.ninep.messages import Rwrite, Twrite
from protocol.xenpv.ids import Devid, Domid
from tests.protocol.ninep.tshark import needs_tshark, packets

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
GUEST = bytes((10, 0, 5, 0))
SERVER = bytes((10, 255, 0, 1))


class Segment(NamedTuple):
    """One TCP segment of the capture."""

    nanoseconds: int
    source: tuple[bytes, int]
    target: tuple[bytes, int]
    sequence: int
    acknowledged: int
    flags: int
    data: bytes


def words_sum(data: bytes) -> int:
    """RFC 1071's sum, word by word: the opposite way to the writer's."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def segments(path: str) -> Iterator[Segment]:
    """The packets of a capture, each with its lengths and checksums proven right."""
    content = Path(path).read_bytes()
    assert struct.unpack_from("<IHHiIII", content) == (0xA1B23C4D, 2, 4, 0, 0, 262144, 101)
    at = 24
    while at < len(content):
        seconds, nanoseconds, here, wire = struct.unpack_from("<IIII", content, at)
        packet = content[at + 16 : at + 16 + here]
        assert len(packet) == here == wire
        version, _, total, _, _, _, protocol, _ = struct.unpack_from("!BBHHHBBH", packet)
        assert (version, total, protocol) == (0x45, here, 6)
        assert words_sum(packet[:20]) == 0xFFFF
        pseudo = packet[12:20] + struct.pack("!HH", 6, here - 20)
        assert words_sum(pseudo + packet[20:]) == 0xFFFF
        ports = struct.unpack_from("!HH", packet, 20)
        sequence, acknowledged, offset, flags = struct.unpack_from("!IIBB", packet, 24)
        assert offset == 0x50
        yield Segment(
            seconds * 10**9 + nanoseconds,
            (packet[12:16], ports[0]),
            (packet[16:20], ports[1]),
            sequence,
            acknowledged,
            flags,
            packet[40:],
        )
        at += 16 + here
    assert at == len(content)


def streams(path: str) -> dict[tuple[bytes, int], bytes]:
    """What each end sent, put together; sequence numbers proven without gap."""
    sent: dict[tuple[bytes, int], bytes] = defaultdict(bytes)
    following: dict[tuple[bytes, int], int] = {}
    for segment in segments(path):
        source = segment.source
        if segment.flags & 0x02:
            following[source] = segment.sequence + 1 & 0xFFFF_FFFF
            continue
        assert segment.sequence == following[source]
        assert segment.acknowledged == following[segment.target]
        assert len(segment.data) < 60_000
        sent[source] += segment.data
        following[source] = segment.sequence + len(segment.data) & 0xFFFF_FFFF
    return dict(sent)


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "trace.pcap")
    TraceWriter.create(path)
    return path


def test_messages_in_pieces_come_out_whole_in_both_directions(path: str) -> None:
    before = time.time_ns()
    with TraceWriter.open(path, Domid(5), Devid(0)) as trace:
        trace.request((b"ab", memoryview(b"cde"), b""))
        trace.reply((memoryview(b"123"), memoryview(b"4")))
        trace.request((b"fg",))
    assert streams(path) == {(GUEST, 1024): b"abcdefg", (SERVER, 564): b"1234"}
    times = [segment.nanoseconds for segment in segments(path)]
    assert before <= times[0]
    assert times == sorted(times)
    assert times[-1] <= time.time_ns()


@pytest.mark.parametrize("length", [SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, 1 << 20])
def test_a_long_message_spans_segments(path: str, length: int) -> None:
    data = os.urandom(length)
    with TraceWriter.open(path, Domid(5), Devid(0)) as trace:
        trace.request((data[:10], memoryview(data)[10:]))
    assert streams(path)[GUEST, 1024] == data
    assert sum(1 for segment in segments(path) if segment.data) == -(-length // SEGMENT)


@pytest.mark.parametrize(
    ("domid", "devid", "address", "port"),
    [
        (5, 0, "10.0.5.0", 1024),
        (0x7FEF, 0, "10.127.239.0", 1024),
        (5, 255, "10.0.5.255", 1024),
        (5, 256, "10.0.5.0", 1025),
        (5, 0xFFFF_FFFF, "10.0.5.255", 1024 + (0xFF_FFFF % 64512)),
    ],
)
def test_the_address_says_which_device(
    path: str, domid: int, devid: int, address: str, port: int
) -> None:
    with TraceWriter.open(path, Domid(domid), Devid(devid)) as trace:
        trace.request((b"x",))
    expected = bytes(map(int, address.split("."))), port
    assert [s.source for s in segments(path) if s.data] == [expected]


def test_sequence_numbers_wrap(path: str) -> None:
    with TraceWriter.open(path, Domid(5), Devid(0)) as trace:
        trace._guest.next = 0xFFFF_FFFE
        trace.request((b"abcd",))
        trace.request((b"ef",))
        trace.reply((b"g",))
    with_data = [s for s in segments(path) if s.data]
    assert [s.sequence for s in with_data[:2]] == [0xFFFF_FFFE, 2]
    assert with_data[2].acknowledged == 4


def test_create_begins_anew_and_for_the_owner_alone(path: str) -> None:
    with TraceWriter.open(path, Domid(5), Devid(0)) as trace:
        trace.request((b"secret",))
    TraceWriter.create(path)
    assert list(segments(path)) == []
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_create_says_why_it_cannot(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        TraceWriter.create(str(tmp_path / "no such directory" / "x.pcap"))


WRITE_MANY = """
import sys
from backend.trace import TraceWriter
path, domid = sys.argv[1], int(sys.argv[2])
with TraceWriter.open(path, domid, 0) as trace:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(60):
        trace.request((bytes([domid, number]) * 35_000,))
        trace.reply((bytes([number, domid]) * 10,))
"""


def test_several_processes_share_one_file(path: str) -> None:
    domids = range(1, 5)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE_MANY, path, str(domid)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for domid in domids
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        writer.communicate(b"go\n", timeout=60)
        assert writer.returncode == 0
    received: dict[bytes, bytes] = defaultdict(bytes)
    replies: dict[bytes, bytes] = defaultdict(bytes)
    for segment in segments(path):
        if segment.source[0] == SERVER:
            replies[segment.target[0]] += segment.data
        else:
            received[segment.source[0]] += segment.data
    for domid in domids:
        address = bytes((10, 0, domid, 0))
        assert received[address] == b"".join(bytes([domid, n]) * 35_000 for n in range(60))
        assert replies[address] == b"".join(bytes([n, domid]) * 10 for n in range(60))


def test_a_full_disk_ends_the_trace_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with TraceWriter.open("/dev/full", Domid(5), Devid(0)) as trace:
        assert not trace.active
        trace.request((b"served all the same",))
        trace.reply((b"so is this",))
    assert [record.getMessage() for record in caplog.records] == [
        "the trace ends here: No space left on device"
    ]
    assert caplog.records[0].levelno == logging.WARNING


FILL_UP = """
import logging, resource, sys
from backend.trace import TraceWriter
logging.basicConfig(format="%(message)s", stream=sys.stdout)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))
with TraceWriter.open(sys.argv[1], 5, 0) as trace:
    trace.request((b"x" * 100,))
    print(trace.active)
    trace.request((b"y" * 2000,))
    print(trace.active)
    trace.request((b"z",))
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)  # what measures coverage writes a file
"""


def test_a_file_that_may_grow_no_further_ends_the_trace_with_one_line(path: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL_UP, path], cwd=ROOT, check=True, capture_output=True, text=True
    )
    ends = "the trace ends here: only a part could be written; the file's end cannot be read"
    assert done.stdout.splitlines() == ["True", ends, "False"]
    assert done.stderr == ""


def test_a_missing_file_is_said_once_and_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "gone.pcap")
    with TraceWriter.open(path, Domid(5), Devid(0)) as trace:
        assert not trace.active
        trace.request((b"x",))
    assert [record.getMessage() for record in caplog.records] == [
        f"no trace: {path}: No such file or directory"
    ]
    assert not Path(path).exists()


def test_closing_twice_is_closing_once(path: str) -> None:
    trace = TraceWriter.open(path, Domid(5), Devid(0))
    assert trace.active
    trace.close()
    trace.close()
    assert not trace.active


@needs_tshark
def test_tshark_sees_each_opening_of_a_device_as_a_stream_of_its_own(path: str) -> None:
    request = encode(Twrite(Tag(1), Fid(2), 0, 150_000)) + os.urandom(150_000)
    reply = encode(Rwrite(Tag(1), 150_000))
    for devid in (0, 0, 1):
        with TraceWriter.open(path, Domid(5), Devid(devid)) as trace:
            trace.request((request,))
            trace.reply((reply,))
    seen = [(packet.stream, dict(packet.values)["msgtype"]) for packet in packets(path)]
    assert seen == [(stream, number) for stream in range(3) for number in (118, 119)]
    # That a device's second stream has the ports of its first is all that tshark may remark.
    bad = "tcp.checksum.status != 1 || ip.checksum.status != 1 || "
    bad += "(tcp.analysis.flags && !tcp.analysis.reused_ports)"
    checks = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
    remarked = subprocess.run(
        ["tshark", "-n", "-r", path, *checks, "-Y", bad], check=True, capture_output=True
    )
    assert remarked.stdout == b""
