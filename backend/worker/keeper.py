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
from typing import TYPE_CHECKING, Final

from backend.confinement import libc
from backend.journal.journal import UNCOVERED
from backend.supervisor.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from backend.journal.journal import Journal

log = logging.getLogger(__name__)

TRIES: Final = 3
"""Deaths at one request; then it is answered with EIO, unlooked at."""

MOST_TRIES: Final = 2 * TRIES
"""Deaths without an answer; then the device is given up."""

RATE: Final = 20.0
BURST: Final = 50
"""Workers per second in the long run, and at once: a guest that knows how to end its worker is not
to keep Dom0 busy with it.  Beyond it, the next worker waits."""

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class GivenUpError(Exception):
    """There is to be no other worker; the text says why."""


def keep(journal: Journal, live: Callable[[int], None]) -> None:
    """Have ``live`` run in one child after the other, until one ends by itself.

    It is told how many lives have ended since the journal's last commit, -1 for the first.
    Raises ``GivenUpError``; ends this process as the worker ended, where it broke the rules.
    """
    throttle = Throttle(RATE, BURST, time.monotonic())
    tries, before = -1, journal.committed
    while True:
        status = _life(live, tries)
        if status == 0:
            return
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS:
            _end_as(signal.SIGSYS)
        how = _how(status)
        if journal.uncovered:
            raise GivenUpError(
                f"worker died: {how}; none can go on: {UNCOVERED[journal.uncovered]}"
            )
        tries = 1 if tries < 0 or journal.committed != before else tries + 1
        before = journal.committed
        if tries >= MOST_TRIES:
            raise GivenUpError(f"worker died: {how}, {tries} times at the same request")
        if not throttle.allow(time.monotonic()):
            time.sleep(throttle.wait())
        log.warning("worker died: %s; another one goes on", how)


def _life(live: Callable[[int], None], tries: int) -> int:
    """Run a child to its end: its wait status.  Raises ``OSError``."""
    keeper = os.getpid()
    child = libc.fork_sharing_descriptors()
    if not child:
        _be_child(keeper, live, tries)
    return os.waitpid(child, 0)[1]


def _be_child(keeper: int, live: Callable[[int], None], tries: int) -> NoReturn:
    status = 1
    try:
        # Whoever kills the keeper means the device.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == keeper:
            live(tries)
            status = 0
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
