"""Whatever the fields of requests hold, each is answered by its reply or by ``OSError``.

And its reply can be encoded, the session goes on, and at the end nothing is still held.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from operator import or_
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.fileserver import directories, io
from backend.fileserver.handlers import HANDLERS
from protocol.ninep.codec import encode
from protocol.ninep.dialects import Dialect
from protocol.ninep.flags import (
    DMDEVICE,
    DMDIR,
    DMLINK,
    DMNAMEDPIPE,
    DMSOCKET,
    DMSYMLINK,
)
from protocol.ninep.ids import NOFID, NOTAG
from protocol.ninep.messages import (
    REPLIES,
    Stat,
    Tattach,
    Tread,
    Treaddir,
    Tversion,
    Twalk,
    Twrite,
)

from .client import ROOT, TAG, AnyClient, Client
from .dotu_client import UNTOUCHED, DotuClient

if TYPE_CHECKING:
    from protocol.ninep.messages import Request

FIDS = st.sampled_from([0, 0, 1, 2, 3, 4, NOFID, 4711])
NAMES = st.sampled_from(
    [b"a", b"a", b"b", b"link", b"fifo", b"user.a", b"..", b".", b"", b"a/b", b"\0"]
) | st.binary(max_size=300)
NUMBERS = {
    bits: st.sampled_from(
        [0, 1, 2, 3, 5, 7, 0o644, 1000, 3000, 4096, 1 << bits - 1, (1 << bits) - 1]
    )
    | st.integers(0, (1 << bits) - 1)
    for bits in (8, 16, 32, 64)
}
WIDE = {
    "offset": 64,
    "size": 64,
    "attr_size": 64,
    "request_mask": 64,
    "atime_sec": 64,
    "atime_nsec": 64,
    "mtime_sec": 64,
    "mtime_nsec": 64,
}
# What would only make the test slow: a dataless file may be large, but not to be read whole.
BUFFER = 3000

FLAGS = st.integers(0, 0x3FF) | st.sampled_from([0o200000, 0o2002, 0o1002, 0o202]) | NUMBERS[32]
FILE_KINDS = st.sampled_from([0, DMDIR, DMSYMLINK, DMLINK, DMDEVICE, DMNAMEDPIPE, DMSOCKET])
BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "flags": FLAGS,
    "valid": FLAGS,
    "perm": st.builds(or_, FILE_KINDS, st.integers(0, 0o777)) | NUMBERS[32],
    "extension": st.sampled_from([b"1\n", b"2", b"0", b"4711", b"c 1 3", b"b 8", b"x"]) | NAMES,
}
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "Tag": st.just(TAG),
    "Fid": FIDS,
    "Qid": st.just(UNTOUCHED.qid),
    "bytes": NAMES,
}
UNTOUCHED_OR = {name: st.just(value) for name, value in UNTOUCHED._asdict().items()}


def field(name: str, annotation: str) -> st.SearchStrategy[Any]:
    if annotation == "Stat":
        return fields_of(Stat, UNTOUCHED_OR)
    if annotation.startswith("tuple"):
        return st.lists(NAMES, max_size=4).map(tuple)
    for strategies, key in ((BY_NAME, name), (BY_TYPE, annotation)):
        if key in strategies:
            return strategies[key]
    return NUMBERS[WIDE.get(name, 32)]


def fields_of(
    kind: type[Any], others: dict[str, st.SearchStrategy[Any]] | None = None
) -> st.SearchStrategy[Any]:
    """``others``: what a field may be as well, as likely as anything else."""
    annotations = {
        name: getattr(t, "__forward_arg__", t) for name, t in kind.__annotations__.items()
    }
    strategies = {name: field(name, str(annotations[name])) for name in kind._fields}
    for name, other in (others or {}).items():
        strategies[name] = other | strategies[name]
    return st.builds(kind, **strategies)


def requests_of(dialect: Dialect) -> st.SearchStrategy[list[Any]]:
    """Any requests of a dialect in a row, but for what begins anew and what the pump answers."""
    kinds = [kind for kind in (*HANDLERS, Tread, Twrite, Treaddir) if kind in dialect.requests]
    kinds.remove(Tversion)
    return st.lists(st.one_of([fields_of(kind) for kind in kinds]), min_size=5, max_size=40)


def answer(client: AnyClient, request: Request) -> None:
    if isinstance(request, Tread | Twrite):
        buffers = [memoryview(bytearray(BUFFER // 3)), memoryview(bytearray(BUFFER - BUFFER // 3))]
        transfer: Any = io.read if isinstance(request, Tread) else io.write
        assert 0 <= transfer(client.session, request, buffers) <= BUFFER
    elif isinstance(request, Treaddir):
        room = min(request.count, BUFFER)
        assert len(directories.readdir(client.session, request, room)) <= room
    else:
        reply = client.call(request)
        assert type(reply) is REPLIES[type(request)]
        assert encode(reply)


@pytest.mark.parametrize("kind", [Client, DotuClient])
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_requests_in_a_row(kind: type[AnyClient], data: st.DataObject) -> None:
    requests = data.draw(requests_of(Dialect(kind.version)))
    with tempfile.TemporaryDirectory() as outer:
        root = os.path.join(outer, "export")
        os.mkdir(root)
        os.symlink("..", os.path.join(root, "link"))
        os.mkfifo(os.path.join(root, "fifo"))
        client = kind(root)
        client.mount()
        # Fids to begin with: a directory, an open directory and an open file.
        for request in (Twalk(TAG, ROOT, number, ()) for number in (1, 2)):  # type: ignore[arg-type]
            client.call(request)
        client.call(Tattach(TAG, 3, NOFID, b"", b"", 0))  # type: ignore[arg-type]
        for request in requests:
            with suppress(OSError):
                answer(client, request)
        client.call(Tversion(NOTAG, 8192, kind.version))
        client.close()
        assert os.listdir(outer) == ["export"]
