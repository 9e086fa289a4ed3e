"""The messages are all there, with the numbers and bytes that the specifications give."""

from __future__ import annotations

import typing

import pytest

from protocol.ninep import fields as f
from protocol.ninep import messages as m
from protocol.ninep.codec import decode_frame, encode
from protocol.ninep.dialects import VERSION_UNKNOWN, Dialect
from protocol.ninep.ids import NOFID, NONUNAME, NOTAG, Fid, Tag

# Linux include/net/9p/9p.h, enum p9_msg_t: the request's number; the reply's is one more.
DOTL_ONLY = {
    "statfs": 8, "lopen": 12, "lcreate": 14, "symlink": 16, "mknod": 18, "rename": 20,
    "readlink": 22, "getattr": 24, "setattr": 26, "xattrwalk": 30, "xattrcreate": 32,
    "readdir": 40, "fsync": 50, "lock": 52, "getlock": 54, "link": 70, "mkdir": 72,
    "renameat": 74, "unlinkat": 76,
}  # fmt: skip
DOTU_ONLY = {"open": 112, "create": 114, "stat": 124, "wstat": 126}
BOTH = {
    "version": 100, "auth": 102, "attach": 104, "flush": 108, "walk": 110, "read": 116,
    "write": 118, "clunk": 120, "remove": 122,
}  # fmt: skip
ERRORS = {7: m.Rlerror, 107: m.Rerror}


def test_every_message_of_the_specifications_is_there_by_name_and_number() -> None:
    expected = dict[int, str]()
    for name, number in (DOTL_ONLY | DOTU_ONLY | BOTH).items():
        expected |= {number: f"T{name}", number + 1: f"R{name}"}
    expected |= {number: kind.__name__ for number, kind in ERRORS.items()}
    assert {number: kind.__name__ for number, kind in m.MESSAGE_TYPES.items()} == expected
    assert {kind: number for number, kind in m.MESSAGE_TYPES.items()} == m.TYPE_NUMBERS


def test_each_dialect_has_its_requests() -> None:
    def names(dialect: Dialect) -> set[str]:
        return {request.__name__ for request in dialect.requests}

    assert names(Dialect.DOTL) == {f"T{name}" for name in DOTL_ONLY | BOTH}
    assert names(Dialect.DOTU) == {f"T{name}" for name in DOTU_ONLY | BOTH}
    assert Dialect(b"9P2000.L") is Dialect.DOTL
    assert Dialect(b"9P2000.u") is Dialect.DOTU
    with pytest.raises(ValueError, match="unknown"):
        Dialect(VERSION_UNKNOWN)


def test_each_request_has_its_reply() -> None:
    assert {q.__name__[1:] for q in m.REPLIES} == {r.__name__[1:] for r in m.REPLIES.values()}
    for request, reply in m.REPLIES.items():
        assert request.__name__[1:] == reply.__name__[1:]
        assert m.TYPE_NUMBERS[reply] == m.TYPE_NUMBERS[request] + 1
    assert set(m.REPLIES) == set(typing.get_args(m.Request))
    requests = {message.name for message in f.MESSAGES if message.is_request}
    assert requests == {request.__name__ for request in m.REPLIES}
    assert set(m.REPLIES.values()) | {m.Rlerror, m.Rerror} == set(typing.get_args(m.Reply))


def test_fields_have_the_specifications_names_and_their_types() -> None:
    hints = typing.get_type_hints(m.Trenameat)
    assert hints == {
        "tag": Tag, "olddirfid": Fid, "oldname": bytes, "newdirfid": Fid, "newname": bytes,
    }  # fmt: skip
    assert m.Rgetattr._fields == (
        "tag", "valid", "qid", "mode", "uid", "gid", "nlink", "rdev", "size", "blksize", "blocks",
        "atime_sec", "atime_nsec", "mtime_sec", "mtime_nsec", "ctime_sec", "ctime_nsec",
        "btime_sec", "btime_nsec", "gen", "data_version",
    )  # fmt: skip
    for kind in m.MESSAGE_TYPES.values():
        assert typing.get_type_hints(kind)["tag"] is Tag
        assert kind.__doc__


STAT = m.Stat(
    type=1, dev=2, qid=m.Qid(0x80, 3, 4), mode=0x800001ED, atime=5, mtime=6, length=7,
    name=b"dir", uid=b"u", gid=b"g", muid=b"m", extension=b"", n_uid=8, n_gid=9, n_muid=10,
)  # fmt: skip
STAT_BYTES = bytes.fromhex(
    "43000100" "02000000" "80" "03000000" "0400000000000000" "ed010080" "05000000" "06000000"
    "0700000000000000" "0300646972" "010075" "010067" "01006d" "0000" "08000000" "09000000"
    "0a000000"
)  # fmt: skip

KNOWN = [
    # The first bytes of a Linux mount, msize 128 KiB + 24.
    (m.Tversion(NOTAG, 131096, b"9P2000.L"), "15000000 64 ffff 18000200 0800 39503230 30302e4c"),
    (m.Rversion(NOTAG, 4096, b"unknown"), "14000000 65 ffff 00100000 0700 756e6b6e6f776e"),
    (
        m.Tattach(Tag(0), Fid(0), NOFID, b"root", b"/", NONUNAME),
        "1c000000 68 0000 00000000 ffffffff 0400726f6f74 01002f ffffffff",
    ),
    (m.Rattach(Tag(0), m.Qid(0x80, 1, 2)), "14000000 69 0000 80 01000000 0200000000000000"),
    (
        m.Twalk(Tag(1), Fid(0), Fid(1), (b"a", b"bc")),
        "18000000 6e 0100 00000000 01000000 0200 010061 02006263",
    ),
    (
        m.Rwalk(Tag(1), (m.Qid(0, 0, 9), m.Qid(2, 0, 10))),
        "23000000 6f 0100 0200 00 00000000 0900000000000000 02 00000000 0a00000000000000",
    ),
    (m.Tlopen(Tag(2), Fid(1), 0o100002), "0f000000 0c 0200 01000000 02800000"),
    (m.Tread(Tag(3), Fid(1), 1 << 40, 4096), "17000000 74 0300 01000000 0000000000010000 00100000"),
    (m.Rread(Tag(3), 2), "0d000000 75 0300 02000000"),
    (m.Tgetattr(Tag(4), Fid(1), 0x17FF), "13000000 18 0400 01000000 ff17000000000000"),
    (m.Tfsync(Tag(5), Fid(1), 1), "0f000000 32 0500 01000000 01000000"),
    (m.Tclunk(Tag(6), Fid(1)), "0b000000 78 0600 01000000"),
    (m.Rclunk(Tag(6)), "07000000 79 0600"),
    (m.Rlerror(Tag(7), 2), "0b000000 07 0700 02000000"),
    (m.Rerror(Tag(7), b"no", 2), "0f000000 6b 0700 02006e6f 02000000"),
    (
        m.Tcreate(Tag(8), Fid(1), b"d", 0x800001ED, 0, b""),
        "15000000 72 0800 01000000 010064 ed010080 00 0000",
    ),
    (m.Rstat(Tag(9), STAT), "4e000000 7d 0900 4500" + STAT_BYTES.hex()),
    (m.Twstat(Tag(9), Fid(1), STAT), "52000000 7e 0900 01000000 4500" + STAT_BYTES.hex()),
]  # fmt: skip


@pytest.mark.parametrize(("message", "text"), KNOWN, ids=lambda case: type(case).__name__)
def test_known_bytes(message: m.Message, text: str) -> None:
    frame = bytes.fromhex(text)
    payload = b"ok" if isinstance(message, m.Rread) else b""
    assert encode(message) == frame
    assert decode_frame(frame + payload) == message


def test_the_repr_of_data_is_a_length() -> None:
    assert repr(m.Twrite(Tag(1), Fid(2), 3, 4096)) == "Twrite(tag=1, fid=2, offset=3, count=4096)"
