"""The tree changes under a worker's feet: by a neighbour on the same export, and from Dom0."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from protocol.ninep.codec import decode_frame, encode
from protocol.ninep.flags import DOTL_RDONLY
from protocol.ninep.ids import Fid, Tag
from protocol.ninep.messages import (
    Rlopen,
    Rread,
    Rwalk,
    Tclunk,
    Tlopen,
    Tread,
    Trenameat,
    Twalk,
)
from tests.hostile.scribbler import Elsewhere

from .raw_frontend import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hostile.conftest import Neighbourhood

    from .raw_frontend import RawFrontend

TAG = Tag(3)
ROUNDS = 400
SECRET = b"of Dom0 alone"
SHOWN = b"for the guest"


def read_through(guest: RawFrontend, *names: bytes) -> bytes | None:
    """What the file of that path holds, or ``None`` where the way is closed just now."""
    fid = Fid(9)
    reply = guest.call(Twalk(TAG, ROOT, fid, names))
    if not isinstance(reply, Rwalk) or len(reply.wqids) < len(names):
        return None
    try:
        if not isinstance(guest.call(Tlopen(TAG, fid, DOTL_RDONLY)), Rlopen):
            return None
        guest.send(encode(Tread(TAG, fid, 0, 100)))
        frame = guest.receive()
        head = decode_frame(frame)
        return frame[11:] if isinstance(head, Rread) else None
    finally:
        guest.call(Tclunk(TAG, fid))


def test_directories_renamed_under_a_walking_neighbour(hood: Neighbourhood) -> None:
    for name in ("a", "b"):
        (hood.export / name / "in").mkdir(parents=True)
        (hood.export / name / "in" / "file").write_bytes(name.encode())
    seen = set()
    with hood.guest() as guest:
        guest.mount()
        swap = ((b"a", b"c"), (b"b", b"a"), (b"c", b"b"))
        for number in range(ROUNDS):
            guest.call(Trenameat(TAG, ROOT, swap[number % 3][0], ROOT, swap[number % 3][1]))
            seen.add(read_through(hood.neighbour, b"a", b"in", b"file"))
        assert hood.neighbour_is_served()
    assert {b"a", b"b"} <= seen <= {b"a", b"b", None}


def swap_for_a_link(export: Path) -> None:
    """``place`` is a directory, then a link out of the export, and so on without end."""
    os.symlink("../outside", export / "link")
    while True:
        os.rename(export / "place", export / "kept")
        os.rename(export / "link", export / "place")
        os.rename(export / "place", export / "link")
        os.rename(export / "kept", export / "place")


def test_a_directory_swapped_for_a_link_by_dom0(hood: Neighbourhood) -> None:
    outside = hood.export.parent / "outside"
    for directory, content in ((hood.export / "place", SHOWN), (outside, SECRET)):
        directory.mkdir()
        (directory / "file").write_bytes(content)
    seen = set()
    with hood.guest() as guest:
        guest.mount()
        with Elsewhere(lambda: swap_for_a_link(hood.export)):
            for _ in range(ROUNDS):
                seen.add(read_through(guest, b"place", b"file"))
                seen.add(read_through(hood.neighbour, b"place", b"file"))
        assert hood.neighbour_is_served()
    assert SHOWN in seen
    assert seen <= {SHOWN, None}
    shutil.rmtree(outside)
