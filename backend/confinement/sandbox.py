"""Puts the walls of a plan up around this process, in order, and says which of them hold."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

from backend.confinement import capabilities, landlock, namespaces, rlimits, seccomp
from backend.confinement.walls import (
    CAPABILITIES,
    HOLDS,
    LANDLOCK,
    LIMITS,
    NAMESPACES,
    PRIVILEGES,
    SECCOMP,
    Refused,
    Unsupported,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from backend.confinement.plan import Plan


class Sandbox:
    """The walls around this process.

    ``enter`` comes before anything is opened that is to be used inside, ``shut`` after everything
    is open and before the first byte of a guest is looked at.  Both while there is one thread.
    """

    def __init__(self, plan: Plan, required: Iterable[str] = ()) -> None:
        """``required`` names walls without which there is to be no service."""
        self._plan = plan
        self._required = frozenset(required)
        self._put_up: dict[str, Callable[[], None]] = {
            NAMESPACES: self._namespaces,
            CAPABILITIES: lambda: capabilities.keep_only(plan.capabilities, plan.user),
            PRIVILEGES: capabilities.gain_nothing,
            LANDLOCK: self._landlock,
            LIMITS: rlimits.lower,
            SECCOMP: seccomp.load,
        }
        self.state: dict[str, str] = {}
        """Each wall of the plan: that it holds, or why it does not."""

    def enter(self) -> None:
        """Prepare the first wall: see ``namespaces.enter``."""
        if NAMESPACES in self._plan.walls:
            self._note(NAMESPACES, namespaces.enter)

    def shut(self) -> dict[str, str]:
        """Put up all walls: the state of each.  One that the kernel does not let us have is left
        out; the caller says so.  Raises ``Refused`` where it was required, ``RuntimeError`` where
        there are threads, as most walls are a thread's.
        """
        self.shut_around()
        return self.shut_in()

    def shut_around(self) -> None:
        """All but the filter of system calls: for a process that faces no guest itself, and starts
        those that do.  Raises ``RuntimeError`` as ``shut``.
        """
        if self._plan.walls and threading.active_count() > 1:
            raise RuntimeError("a thread that runs already would be outside the walls")
        for wall in self._plan.walls:
            if wall != SECCOMP and self.state.get(wall, HOLDS) == HOLDS:
                self._note(wall, self._put_up[wall])

    def shut_in(self) -> dict[str, str]:
        """After ``shut_around``: as ``shut``."""
        if SECCOMP in self._plan.walls:
            self._note(SECCOMP, self._put_up[SECCOMP])
        for wall in self._required:
            why = self.state.get(wall, "it is off")
            if why != HOLDS:
                raise Refused(f"the configuration requires the wall {wall}: {why}")
        return self.state

    def _note(self, wall: str, put_up: Callable[[], None]) -> None:
        try:
            put_up()
        except Unsupported as missing:
            self.state[wall] = str(missing)
        except OSError as error:
            not_permitted = error.errno == errno.EPERM
            self.state[wall] = "not permitted" if not_permitted else str(error.strerror)
        else:
            self.state[wall] = HOLDS

    def _namespaces(self) -> None:
        namespaces.leave_dom0(read_only=self._plan.read_only)

    def _landlock(self) -> None:
        directories = namespaces.held_directories(of_proc=False)
        landlock.restrict(directories, read_only=self._plan.read_only)
