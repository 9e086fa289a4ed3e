"""Tlopen and Topen of a stream, for which somebody at its other end may have to be waited for."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from backend.fileserver.parked import MustWait

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.fileserver.fids import FidState
    from backend.fileserver.files import File
    from backend.fileserver.parked import Parked
    from backend.fileserver.session import Session
    from protocol.ninep.messages import Message, Qid


def open_stream(
    session: Session,
    state: FidState,
    waiting: MustWait[File],
    answer: Callable[[File, Qid], Message],
) -> Message | Parked:
    """The reply, made by ``answer``, or the request parked; ``waiting`` is what the tree raised.

    A fid that is clunked meanwhile is not opened any more.  Raises ``OSError``: EBADF for such a
    fid, EMFILE, and what the stream says.
    """
    slots = session.limits.open_files
    ended = False

    def give_up() -> None:
        nonlocal ended
        ended = True
        if session.readiness is not None:
            session.readiness.nudge()

    def attempt() -> File | None:
        if ended:
            raise OSError(errno.EBADF, "the fid was clunked while its open waited")
        slots.check(1)  # before anybody is accepted who could not be served
        return waiting.attempt()

    def opened(file: File) -> Message:
        slots.take()
        state.set_open(file, slots)
        return answer(file, session.tree.getattr(state.node)[0])

    def release() -> None:
        state.given_up = None
        waiting.release()

    try:
        file = attempt()
    except BaseException:
        release()
        raise
    if file is None:
        state.given_up = give_up
        return MustWait(attempt, release).parked(opened)
    release()
    return opened(file)
