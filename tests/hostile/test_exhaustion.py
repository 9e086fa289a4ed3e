"""A guest that takes all it can get: it is told when to stop, gets on when it gives back, and its
neighbour is served all the while.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.limits import MAX_CURSORS, MAX_OPEN_FILES
from protocol.ninep.codec import decode_frame, encode
from protocol.ninep.flags import DOTL_DIRECTORY, DOTL_RDONLY, DOTL_RDWR, LOCK_TYPE_WRLCK
from protocol.ninep.ids import NONUNAME, Fid, Tag
from protocol.ninep.messages import (
    Message,
    Rclunk,
    Rlcreate,
    Rlerror,
    Rlopen,
    Rmkdir,
    Rread,
    Rwalk,
    Tclunk,
    Tflush,
    Tfsync,
    Tlcreate,
    Tlock,
    Tlopen,
    Tmkdir,
    Tread,
    Twalk,
    Txattrcreate,
)

from .raw_frontend import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.conftest import Neighbourhood

    from .raw_frontend import RawFrontend

TAG = Tag(3)
FILE = Fid(1)


def clone(guest: RawFrontend, fid: int) -> Message:
    return guest.call(Twalk(TAG, ROOT, Fid(fid), ()))


def file_of_ones_own(guest: RawFrontend) -> None:
    """``FILE`` is an open file of some bytes."""
    clone(guest, FILE)
    assert isinstance(guest.call(Tlcreate(TAG, FILE, b"own", DOTL_RDWR, 0o644, 0)), Rlcreate)


def until_refused(attempt: Callable[[int], Message], most: int) -> tuple[int, int]:
    """How often it worked, and the errno that ended it."""
    for number in range(2, most):
        reply = attempt(number)
        if isinstance(reply, Rlerror):
            return number - 2, reply.ecode
    raise AssertionError(f"{most} are not refused")


def take_fids(guest: RawFrontend) -> tuple[int, int]:
    return until_refused(lambda number: clone(guest, number), 70_000)


def take_open_files(guest: RawFrontend) -> tuple[int, int]:
    def attempt(number: int) -> Message:
        assert isinstance(guest.call(Twalk(TAG, ROOT, Fid(number), (b"own",))), Rwalk)
        return guest.call(Tlopen(TAG, Fid(number), DOTL_RDONLY))

    return until_refused(attempt, MAX_OPEN_FILES + 10)


def take_directories(guest: RawFrontend) -> tuple[int, int]:
    def attempt(number: int) -> Message:
        clone(guest, number)
        return guest.call(Tlopen(TAG, Fid(number), DOTL_DIRECTORY))

    return until_refused(attempt, MAX_CURSORS + 10)


def take_attributes(guest: RawFrontend) -> tuple[int, int]:
    def attempt(number: int) -> Message:
        clone(guest, number)
        return guest.call(Txattrcreate(TAG, Fid(number), b"user.big", 65_536, 0))

    return until_refused(attempt, 70_000)


@pytest.mark.parametrize("take", [take_fids, take_open_files, take_directories, take_attributes])
def test_everything_that_can_be_held(
    hood: Neighbourhood, take: Callable[[RawFrontend], tuple[int, int]]
) -> None:
    with hood.guest() as guest:
        guest.mount()
        file_of_ones_own(guest)
        count, code = take(guest)
        assert code in (errno.EMFILE, errno.ENOSPC, errno.ENOMEM), errno.errorcode[code]
        assert count > 10
        assert hood.neighbour_is_served()
        # What it holds stays good, and what it gives back it can have again.
        assert isinstance(guest.call(Tread(TAG, FILE, 0, 10)), Rread)
        for fid in (2, 3, 4):
            guest.call(Tclunk(TAG, Fid(fid)))
        assert isinstance(clone(guest, 2), Rwalk)
        assert isinstance(guest.call(Tclunk(TAG, Fid(2))), Rclunk)


def test_every_tag_in_flight_and_none_of_them_read(hood: Neighbourhood) -> None:
    """Requests that wait (locks, fsync) and replies that nobody takes."""
    with hood.guest() as guest:
        guest.mount()
        file_of_ones_own(guest)
        assert isinstance(guest.call(Twalk(TAG, ROOT, Fid(2), (b"own",))), Rwalk)
        assert isinstance(guest.call(Tlopen(TAG, Fid(2), DOTL_RDWR)), Rlopen)
        holder = Tlock(TAG, FILE, LOCK_TYPE_WRLCK, 0, 0, 0, 1, b"me")
        guest.call(holder)
        sent = 0
        for number in range(10, 0xFFF0):
            waiting = Tlock(Tag(number), Fid(2), LOCK_TYPE_WRLCK, 1, 0, 0, number, b"other")
            frame = encode(waiting if number % 2 else Tfsync(Tag(number), FILE, 0))
            if guest.rings[0].requests.free() < len(frame):
                break
            guest.send(frame)
            sent += 1
        assert sent > 100
        assert hood.neighbour_is_served()
        # The other ring still answers, and a flush of anything at all comes back.
        for number in range(10, 60):
            guest.send(encode(Tflush(Tag(number + 1000), Tag(number))), ring=1)
        assert hood.neighbour_is_served()
        seen = {decode_frame(guest.receive(0)).tag for _ in range(20)}
        assert len(seen) == 20


def test_walking_in_circles_and_down_a_well(hood: Neighbourhood) -> None:
    with hood.guest() as guest:
        guest.mount()
        circle = (b"down", b"..") * 8
        guest.call(Tmkdir(TAG, ROOT, b"down", 0o755, NONUNAME))
        for _ in range(200):
            reply = guest.call(Twalk(TAG, ROOT, Fid(5), circle))
            assert isinstance(reply, Rwalk)
            assert len(reply.wqids) == 16
            guest.call(Tclunk(TAG, Fid(5)))
        clone(guest, 6)
        for _ in range(3000):  # deeper than any path reaches
            assert isinstance(guest.call(Tmkdir(TAG, Fid(6), b"d", 0o755, NONUNAME)), Rmkdir)
            assert isinstance(guest.call(Twalk(TAG, Fid(6), Fid(6), (b"d",))), Rwalk)
        up = guest.call(Twalk(TAG, Fid(6), Fid(7), (b"..",)))
        assert isinstance(up, Rlerror)
        assert up.ecode == errno.ENAMETOOLONG
        assert hood.neighbour_is_served()
