"""Keeps a device's descriptors, and has one worker after the other serve it.

The keeper is the process that the supervisor knows.  It opens what is needed, puts up the walls,
and starts the worker: a child that shares its table of descriptors (clone(2), CLONE_FILES).  So all
that the worker opens stays open when it dies, with locks and files that have no name any more, and
costs nothing while it lives.  What the descriptors mean is in the journal.

The keeper never looks at a byte of a guest's, nor at the journal's but for a few numbers.  It waits
and starts the next worker, unless the last ended by itself or made a call that is forbidden.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.confinement import libc
from backend.supervisor.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from backend.journal.journal import Journal

log = logging.getLogger(__name__)

TRIES: Final = 3
"""Deaths at one request; then it is answered with EIO, unlooked at."""

MOST_TRIES: Final = 2 * TRIES
"""Deaths at one request without an answer; then the device is given up."""

MOST_QUIET: Final = 30
"""Deaths in a row, each within ``SETTLED`` seconds of a birth, of workers that had no request in
hand and had answered none.  Whoever kills workers often meets some of them as they come back, and
that is no fault of the guest's; what makes them all die so, is not to go on for ever.
"""

SETTLED: Final = 10.0

RATE: Final = 20.0
BURST: Final = 50
"""Workers per second in the long run, and at once: a guest that knows how to end its worker is not
to keep Dom0 busy with it.  Beyond it, the next worker waits."""

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class GivenUpError(Exception):
    """There is to be no other worker; the text says why."""


class Past(NamedTuple):
    """What a life is told of those before it."""

    tries: int = 0
    """How many have died at the request that no one has answered yet,"""
    lane: int | None = None
    """which is the next of this lane."""


class Deaths:
    """What becomes of a device whose workers die."""

    def __init__(self) -> None:
        self.past = Past()
        self._committed = 0
        self._quiet = 0

    def note(self, committed: int, lane: int | None, lived: float) -> None:
        """One more, at this commit, with a request of this lane in hand, after so many seconds.

        Raises ``GivenUpError``.
        """
        if committed != self._committed:
            self._committed = committed
            self.past = Past()
            self._quiet = 0
        if lane is not None:
            self.past = Past(self.past.tries + 1, lane)
            if self.past.tries >= MOST_TRIES:
                raise GivenUpError(f"{self.past.tries} times at the same request")
            return
        self._quiet = 1 if lived >= SETTLED else self._quiet + 1
        if self._quiet >= MOST_QUIET:
            raise GivenUpError(f"{self._quiet} times before it could answer anything")


HANDING_OVER: Final = 75
"""A worker's exit status: its keeper is to hand over, and all is as the last commit says."""


def keep(
    journal: Journal,
    live: Callable[[Past | None], int],
    hand_over: Callable[[], None],
    ours: Callable[[], bool] | None = None,
) -> None:
    """Have ``live`` run in one child after the other, until one ends by itself.

    It is told of those before it, ``None`` for the first, and gives its exit status.
    ``hand_over`` returns where nobody takes the device.  With ``ours`` this process is to take it
    from another one, and that says whether the first child that died has done so.
    Raises ``GivenUpError``; ends this process as the worker ended, where it broke the rules.
    """
    throttle = Throttle(RATE, BURST, time.monotonic())
    deaths, past = Deaths(), None if ours is None else Past()
    while True:
        journal.serve(None)  # of those before
        born = time.monotonic()
        status = _life(live, past)
        if status == 0:
            return
        if ours is not None and not ours():
            raise GivenUpError(f"it died before it had taken over: {_how(status)}")
        ours = None
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == HANDING_OVER:
            hand_over()
            past = Past()
            _rest(throttle)
            continue
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS:
            _end_as(signal.SIGSYS)
        how = _how(status)
        uncovered = journal.uncovered
        if uncovered is not None:
            raise GivenUpError(f"worker died: {how}; none can go on: {uncovered}")
        try:
            deaths.note(journal.committed, journal.serving, time.monotonic() - born)
        except GivenUpError as error:
            raise GivenUpError(f"worker died: {how}, {error}") from None
        past = deaths.past
        _rest(throttle)
        log.warning("worker died: %s; another one goes on", how)


def _rest(throttle: Throttle) -> None:
    """Wait, where workers have been started too fast."""
    if not throttle.allow(time.monotonic()):
        time.sleep(throttle.wait())


def _life(live: Callable[[Past | None], int], past: Past | None) -> int:
    """Run a child to its end: its wait status.  Raises ``OSError``."""
    keeper = os.getpid()
    child = libc.fork_sharing_descriptors()
    if not child:
        _be_child(keeper, live, past)
    return os.waitpid(child, 0)[1]


def _be_child(keeper: int, live: Callable[[Past | None], int], past: Past | None) -> NoReturn:
    status = 1
    try:
        # Whoever kills the keeper means the device.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == keeper:
            status = live(past)
    except Exception:
        log.exception("the worker cannot go on")
    finally:
        sys.stderr.flush()
        os._exit(status)


def _end_as(number: int) -> NoReturn:
    """End this process by a signal that does so."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    raise GivenUpError("a signal did not end this process")  # pragma: no cover -- it does


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit status {os.WEXITSTATUS(status)}"
