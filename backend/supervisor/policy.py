"""What to do next for a device, given what is seen of it: a pure decision, no I/O.

Rules:

- ``protocol.xenpv.xenbus.BACKEND`` says what the pair of states asks for; this module says what
  that means while a worker is starting, serving, stopping or absent.
- A state is claimed only when it is true: Connected after the worker has mapped everything,
  Closing and Closed after it has let go.
- The backend's own state may have been written by a toolstack.  Whatever it says other than
  what we wrote, a worker that is running is stopped first, and then the table is asked again.
- An announcement that failed (a bad export path) is not repeated until something changes, or
  Closed -> Initialising would run in a circle.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from protocol.xenpv.xenbus import BACKEND, Action, XenbusState


class WorkerPhase(Enum):
    """Where the device's worker process is in its life."""

    NONE = auto()
    STARTING = auto()
    SERVING = auto()
    STOPPING = auto()


class View(NamedTuple):
    """What is seen of a device."""

    own: XenbusState
    frontend: XenbusState
    worker: WorkerPhase
    refused: bool = False
    """This very announcement was tried and failed."""


class Move(Enum):
    """What to do now.  After each move the device is looked at again."""

    WAIT = auto()
    ANNOUNCE = auto()
    """Check the export, write what is offered, go to InitWait."""
    START = auto()
    """Read and check the frontend's nodes, start a worker."""
    STOP = auto()
    """Tell the worker to let go."""
    SAY_CONNECTED = auto()
    SAY_CLOSING = auto()
    SAY_CLOSED = auto()


_WITHOUT_WORKER = {
    None: Move.WAIT,
    Action.ANNOUNCE: Move.ANNOUNCE,
    Action.CONNECT: Move.START,
    Action.DISCONNECT: Move.SAY_CLOSING,
    Action.CLOSE: Move.SAY_CLOSED,
}


def next_move(view: View) -> Move:
    """The one thing to do now."""
    step = BACKEND.get((view.own, view.frontend))
    action = step.action if step else None
    if view.worker is WorkerPhase.NONE:
        return _without_worker(view, action)
    if view.worker is WorkerPhase.STOPPING:
        return Move.WAIT
    if view.worker is WorkerPhase.STARTING:
        return Move.WAIT if action is Action.CONNECT else Move.STOP
    if action is Action.CONNECT:
        return Move.SAY_CONNECTED
    idle = view.own is XenbusState.CONNECTED and action is None
    return Move.WAIT if idle else Move.STOP


def _without_worker(view: View, action: Action | None) -> Move:
    if view.own is XenbusState.CONNECTED:
        return Move.SAY_CLOSING  # nobody serves it: what we claim is not true
    if action is Action.ANNOUNCE and view.refused:
        return Move.WAIT
    return _WITHOUT_WORKER[action]
