"""Fuzzes a session through the pump: any messages of both dialects, in any order, on two rings."""

from __future__ import annotations

import contextlib
import os
import select
import tempfile
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from backend.fileserver.policies.atomic_commit import AtomicCommitTree
from backend.fileserver.policies.mapped_xattr import MappedXattrTree
from backend.fileserver.policies.read_only import ReadOnlyTree
from backend.fileserver.policies.sync_on_close import SyncOnCloseTree
from protocol.ninep import fields as f
from protocol.ninep.codec import HEADER_SIZE, encode
from protocol.ninep.ids import NOFID, NOTAG, Tag
from protocol.ninep.messages import (
    REPLIES,
    TYPE_NUMBERS,
    Message,
    Rerror,
    Rlerror,
    Tattach,
    Tversion,
)
from tests.backend.fileserver.ring_peer import ROOT_FID, RingPeer
from tests.fuzz.choices import Choices
from tests.fuzz.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backend.fileserver.tree import Tree

_HEADER: Final = Struct("<IBH")  # size[4] type[1] tag[2], intro(5)

SECRET: Final = b"not for guests"

REQUESTS: Final = tuple(message for message in f.MESSAGES if message.is_request)
_KINDS: Final[dict[int, Any]] = {number: kind for kind, number in TYPE_NUMBERS.items()}
_FIDS: Final = (0, 0, 1, 1, 2, 3, 4, 5, NOFID, 4711)
_STRINGS: Final = (
    *(b"a", b"a", b"b", b"c", b"dir", b"file", b"link", b"fifo", b"..", b".", b"", b"a/b", b"\0"),
    *(b"x" * 255, b"x" * 256, b"user.a", b"user.virtfs.mode", b"security.capability", b"../secret"),
    *(b"9P2000.L", b"9P2000.u", b"b 1 2", b"1", b"\xff\xfe"),
)
POLICIES: Final[tuple[Callable[[Tree], Tree] | None, ...]] = (
    None,
    AtomicCommitTree,
    lambda tree: SyncOnCloseTree(AtomicCommitTree(MappedXattrTree(tree))),
    ReadOnlyTree,
)
_REPLIES: Final = frozenset((Rerror, Rlerror, *REPLIES.values()))
_EDGES: Final = (
    0,
    1,
    2,
    3,
    7,
    8,
    0o644,
    0o40755,
    0o100644,
    0o120777,
    0o10644,
    0o20644,
    4096,
    65536,
)


def run(data: bytes) -> None:
    """The bytes choose the policies, the dialect, the requests and the rings they come on."""
    choices = Choices(data)
    wrap = choices.pick(POLICIES)
    with export() as root, contextlib.closing(RingPeer(root, order=3, wrap=wrap)) as peer:
        hand_shake(peer, choices.pick((b"9P2000.L", b"9P2000.u")))
        while choices:
            ring = choices.below(2)
            tag = Tag(choices.below(8))
            request = _any_frame(choices, tag)
            if peer.ends[ring][1].free() < len(request):
                break
            peer.put(request, ring)
            peer.serve(ring)
            _take_all(peer)
        if select.select([peer.connection.completion_fd], [], [], 0)[0]:
            peer.connection.complete()
        _take_all(peer)
        assert peer.connection.counters.unforeseen == 0, "an exception that nobody foresaw"


@contextlib.contextmanager
def export() -> Iterator[Path]:
    """A directory with one file of each kind, whose neighbours must stay as they are."""
    before = len(os.listdir("/proc/self/fd"))
    with tempfile.TemporaryDirectory() as outer:
        root = Path(outer) / "export"
        (root / "dir").mkdir(parents=True)
        (root / "file").write_bytes(b"content")
        (root / "link").symlink_to("../secret")
        os.mkfifo(root / "fifo")
        secret = Path(outer) / "secret"
        secret.write_bytes(SECRET)
        status = secret.stat()
        yield root
        assert sorted(os.listdir(outer)) == ["export", "secret"], "something outside has changed"
        assert secret.read_bytes() == SECRET, "a file outside was written"
        assert secret.stat().st_mode == status.st_mode, "a file outside was changed"
        # What a guest made unreadable must not keep the directory from being removed.
        for directory, _below, _files in os.walk(root):
            os.chmod(directory, 0o700)
    assert len(os.listdir("/proc/self/fd")) == before, "a descriptor is left"


def hand_shake(peer: RingPeer, version: bytes) -> None:
    """As every client begins."""
    peer.call(Tversion(NOTAG, 1 << 20, version))
    peer.call(Tattach(Tag(1), ROOT_FID, NOFID, b"root", b"/", 0))


def _any_frame(choices: Choices, tag: Tag) -> bytes:
    if choices.below(16) == 0:  # a frame that need not be one
        body = choices.take(choices.below(40))
        return _HEADER.pack(HEADER_SIZE + len(body), choices.number(8), tag) + body
    return frame(choices, tag, choices.pick(REQUESTS))


def frame(choices: Choices, tag: Tag, message: f.Message) -> bytes:
    """A well-formed request with any values in it."""
    values = [_value(choices, field.kind, field.name) for field in message.fields]
    if not message.has_payload:
        return encode(_KINDS[message.number](tag, *values))
    payload = choices.take(choices.below(64))
    values[-2:] = [len(payload)]
    return encode(_KINDS[message.number](tag, *values), len(payload)) + payload


def _value(choices: Choices, kind: f.Kind, name: str) -> object:
    if isinstance(kind, f.String):
        plain = choices.below(8)
        return choices.pick(_STRINGS) if plain else choices.take(choices.below(300))
    if isinstance(kind, f.Listing):
        return tuple(_value(choices, kind.element, "") for _ in range(choices.below(4)))
    if isinstance(kind, f.Record):
        from protocol.ninep import messages

        parts = [_value(choices, field.kind, field.name) for field in kind.fields]
        return getattr(messages, kind.name)(*parts)
    if isinstance(kind, f.Payload):
        return b""
    return choices.pick(_FIDS) if "fid" in name else _number(choices, 8 * kind.size)


def _number(choices: Choices, bits: int) -> int:
    top = (1 << bits) - 1
    shapes: tuple[Callable[[], int], ...] = (
        lambda: choices.pick(_EDGES) & top,
        lambda: top - choices.below(2),
        lambda: choices.below(16),
        lambda: choices.number(bits),
    )
    return choices.pick(shapes)()


def _take_all(peer: RingPeer) -> None:
    """Every reply that is there is whole, and one that some request has."""
    for ring in (0, 1):
        while (answer := peer.take(ring)) is not None:
            reply: Message = answer[0]
            assert type(reply) in _REPLIES
        peer.connection.service(ring)


TARGET = Target(
    "session",
    "Any requests of both dialects in any order are each answered by a whole reply or wait to be; "
    "no exception is unforeseen, no descriptor is left, and nothing outside the export changes.",
    run,
)
