"""The requests in a capture are counted by dialect, however its packets cut them."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from backend.trace import TraceWriter
from protocol.ninep import messages as m
from protocol.ninep.codec import encode
from protocol.ninep.ids import Fid, Tag
from protocol.xenpv.ids import Devid, Domid
from tools.linux_guest.messages import count

if TYPE_CHECKING:
    from pathlib import Path


def test_requests_are_counted_by_dialect(tmp_path: Path) -> None:
    trace = str(tmp_path / "trace.pcap")
    TraceWriter.create(trace)
    for devid, version in enumerate((b"9P2000.L", b"9P2000.u")):
        with TraceWriter.open(trace, Domid(0), Devid(devid)) as writer:
            writer.request([encode(m.Tversion(Tag(0xFFFF), 8192, version))])
            writer.reply([encode(m.Rversion(Tag(0xFFFF), 8192, version))])
            for _ in range(devid + 1):
                clunk = encode(m.Tclunk(Tag(1), Fid(1)))
                writer.request([clunk[:5]])
                writer.request([clunk[5:]])
            # Larger than a packet.
            writer.request([encode(m.Twrite(Tag(1), Fid(1), 0, 100_000)), bytes(100_000)])
    with open(trace, "rb") as file:
        counts = count(file)
    assert counts == {
        "9P2000.L": {"Tversion": 1, "Tclunk": 1, "Twrite": 1},
        "9P2000.u": {"Tversion": 1, "Tclunk": 2, "Twrite": 1},
    }


def test_an_empty_capture_has_no_messages() -> None:
    assert count(BytesIO(bytes(24))) == {}
