"""What tshark, an independent decoder, makes of a capture; and which of its fields are ours.

tshark 4.0's 9P dissector decodes every 9P2000.L message but for what ``LEFT_OVER`` and ``WRONG``
name, once it has seen the session's Tversion.
"""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

needs_tshark = pytest.mark.skipif(
    shutil.which("tshark") is None, reason="tshark is not installed (Debian package tshark)"
)

QID = ("qidtype", "qidvers", "qidpath")
TIMES = ("atime", "mtime", "ctime", "btime")

# For each message tshark's fields in wire order, as we flatten ours: a qid is three, a time is one,
# and a count comes before a list.
FIELDS: dict[str, tuple[str, ...]] = {
    "Rlerror": (),
    "Tstatfs": ("fid",),
    "Rstatfs": (
        "fstype", "blksize", "blocks", "bfree", "bavail", "files", "ffree", "fsid", "namelen",
    ),
    "Tlopen": ("fid", "statmode"),
    "Rlopen": (*QID, "iounit"),
    "Tlcreate": ("fid", "filename", "lcreate.flags", "statmode", "gid"),
    "Rlcreate": (*QID, "iounit"),
    "Tsymlink": ("fid", "wname", "wname", "gid"),
    "Rsymlink": QID,
    "Tmknod": ("fid", "wname", "statmode", "mknod.major", "mknod.minor", "gid"),
    "Rmknod": QID,
    "Trename": ("fid", "dfid", "wname"),
    "Treadlink": ("fid",),
    "Rreadlink": ("wname",),
    "Tgetattr": ("fid", "getattr.flags"),
    "Rgetattr": (
        "getattr.flags", *QID, "statmode", "uid", "gid", "nlink", "rdev", "size", "blksize",
        "blocks", *TIMES, "gen", "dataversion",
    ),
    "Tsetattr": ("fid", "setattr.flags", "statmode", "uid", "gid", "size", "atime", "mtime"),
    "Txattrwalk": ("fid", "newfid", "wname"),
    "Rxattrwalk": ("size",),
    "Txattrcreate": ("fid", "wname", "size", "xattr.flag"),
    "Treaddir": ("fid", "offset", "count"),
    "Rreaddir": ("count",),
    "Tfsync": ("fid",),
    "Tlock": (
        "fid", "lock.type", "lock.flag", "lock.start", "lock.length", "lock.procid", "wname",
    ),
    "Rlock": ("lock.status",),
    "Tlink": ("dfid", "fid", "wname"),
    "Tmkdir": ("fid", "wname", "statmode", "gid"),
    "Rmkdir": QID,
    "Trenameat": ("dfid", "wname", "newfid", "wname"),
    "Tunlinkat": ("dfid", "wname", "unlinkat.flags"),
    "Tversion": ("maxsize", "version"),
    "Rversion": ("maxsize", "version"),
    "Tauth": ("afid", "uname", "aname"),
    "Rauth": QID,
    "Tattach": ("fid", "afid", "uname", "aname", "uid"),
    "Rattach": QID,
    "Tflush": ("oldtag",),
    "Twalk": ("fid", "newfid", "nwalk"),
    "Rwalk": ("nqid",),
    "Tread": ("fid", "offset", "count"),
    "Rread": ("count",),
    "Twrite": ("fid", "offset", "count"),
    "Rwrite": ("count",),
    "Tclunk": ("fid",),
    "Tremove": ("fid",),
}  # fmt: skip

LEFT_OVER = {"Rlerror": 4, "Tauth": 4, "Tfsync": 4, "Tflush": 2}
"""The last field, of so many bytes, is none to tshark 4.0, which shows it as ``message_data``
(Tflush's oldtag it shows both ways).  A later version may know better and show no such bytes."""

MASKS = {"getattr.flags": 0x3FFF, "setattr.flags": 0x1FF}
"""The bits that tshark shows of what is wider on the wire."""

WRONG = {"Tgetlock", "Rgetlock"}
"""tshark 4.0 reads a flags[4] there that the specification does not have."""


class Packet(NamedTuple):
    """One 9P message as tshark shows it: its fields with the bits of flags left out."""

    stream: int
    values: list[tuple[str, int | str]]


def packets(path: str) -> Iterator[Packet]:
    """The 9P messages of a capture, in order."""
    done = subprocess.run(
        ["tshark", "-n", "-r", path, "-T", "pdml", "-Y", "9p"], check=True, capture_output=True
    )
    # The text is tshark's own, made from our capture.
    for packet in ET.fromstring(done.stdout).iter("packet"):  # noqa: S314 -- see above
        (stream,) = (x.get("show", "") for x in packet.iter("field") if is_stream(x))
        for protocol in packet.iter("proto"):
            if protocol.get("name") == "9p":
                shown = [(x.get("name", ""), x.get("show", "")) for x in protocol.iter("field")]
                yield Packet(int(stream), list(_values(shown)))


def is_stream(element: ET.Element) -> bool:
    """Whether it is the number of the TCP stream."""
    return element.get("name") == "tcp.stream"


_WORDS = {"filename", "wname", "version", "uname", "aname", "message_data"}
_KNOWN = {name for names in FIELDS.values() for name in names} | {
    "msglen", "msgtype", "tag", "message_data",
}  # fmt: skip


def _values(shown: Iterable[tuple[str, str]]) -> Iterator[tuple[str, int | str]]:
    for full, show in shown:
        name = full.removeprefix("9p.")
        if name not in _KNOWN:
            continue
        if name in TIMES:
            yield name, nanoseconds(show)
        elif name in _WORDS:
            yield name, show
        else:
            yield name, int(show, 0)


def nanoseconds(show: str) -> int:
    """A time as tshark shows it (4.0: ``Jan  1, 1970 00:17:47.000001068 UTC``; later: ISO)."""
    whole, _, fraction = show.removesuffix("Z").removesuffix(" UTC").partition(".")
    layout = "%Y-%m-%dT%H:%M:%S" if whole[0].isdigit() else "%b %d, %Y %H:%M:%S"
    moment = datetime.strptime(" ".join(whole.split()), layout).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9 + int(fraction)
