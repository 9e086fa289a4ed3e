"""What to do next for a device, given what is seen of it: a pure decision, no I/O.

Rules:

- ``protocol.xenpv.xenbus.BACKEND`` says what the pair of states asks for; this module says what
  that means while a worker is starting, serving, stopping or absent.
- A state is claimed only when it is true: Connected after the worker has mapped everything,
  Closing and Closed after it has let go.
- The backend's own state may have been written by a toolstack.  Whatever it says other than
  what we wrote, a worker that is running is stopped first, and then the table is asked again.
- A device that was unplugged stays Closed, also where its frontend never connected and so looks
  as one that comes back: a toolstack waits for that state, and removes the nodes.
- A device is announced after its export path has been found good.  A path that was refused is not
  checked again until something changes, or Closed -> Initialising would run in a circle.
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


class Export(Enum):
    """What is known of the device's export path."""

    UNCHECKED = auto()
    CHECKING = auto()
    GOOD = auto()
    BAD = auto()
    REFUSED = auto()
    """Bad, and the toolstack was told."""


class View(NamedTuple):
    """What is seen of a device."""

    own: XenbusState
    frontend: XenbusState
    worker: WorkerPhase
    export: Export
    online: bool = True


class Move(Enum):
    """What to do now.  After each move the device is looked at again."""

    WAIT = auto()
    CHECK = auto()
    """Find out whether the export path is good."""
    REFUSE = auto()
    """Go to Closing, and say why the path is bad."""
    ANNOUNCE = auto()
    """Write what is offered, go to InitWait."""
    START = auto()
    """Read and check the frontend's nodes, start a worker."""
    STOP = auto()
    """Tell the worker to let go."""
    SAY_CONNECTED = auto()
    SAY_CLOSING = auto()
    SAY_CLOSED = auto()


_TO_ANNOUNCE = {
    Export.UNCHECKED: Move.CHECK,
    Export.CHECKING: Move.WAIT,
    Export.GOOD: Move.ANNOUNCE,
    Export.BAD: Move.REFUSE,
    Export.REFUSED: Move.WAIT,
}

_WITHOUT_WORKER = {
    None: Move.WAIT,
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
    if view.own is XenbusState.CLOSED and not view.online:
        return Move.WAIT
    if action is Action.ANNOUNCE:
        return _TO_ANNOUNCE[view.export]
    return _WITHOUT_WORKER[action]


def last_move(view: View) -> Move:
    """The one thing to do now for a supervisor that is about to leave: let go, announce nothing."""
    if view.worker is not WorkerPhase.NONE:
        return Move.WAIT if view.worker is WorkerPhase.STOPPING else Move.STOP
    if view.own is XenbusState.CONNECTED:
        return Move.SAY_CLOSING
    move = next_move(view)
    return move if move is Move.SAY_CLOSED else Move.WAIT
