"""The xenbus handshake as two tables: what each role does, given its own state and the other's.

Rules, from which the tables are made (Xen ``io/xenbus.h``; Linux ``trans_xen.c``; Mini-OS
``9pfront.c``; ``libxl_device.c``):

- Each end writes only its own ``state``.  A toolstack may write the backend's: 5 asks it to close.
- The backend goes 1 -> 2 after it has written what it offers, 2 -> 4 when the frontend is at 3 and
  everything it named could be mapped, 4 -> 5 when either side wants out, 5 -> 6 when the frontend
  is closed or gone.
- The frontend goes 1 -> 3 when the backend is at 2, 3 -> 4 when the backend is at 4, and closes
  when the backend does.
- A frontend that comes back (at 1 while the backend is at 4, 5 or 6: a guest that rebooted its
  driver, or a process that was killed) gets a fresh start: everything of before is dropped first.
- A state that cannot be read is ``UNKNOWN``: that end is gone.

A pair that is not in a table asks for nothing.
"""

from __future__ import annotations

from enum import Enum, IntEnum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class XenbusState(IntEnum):
    """``enum xenbus_state`` of Xen's public ``io/xenbus.h``."""

    UNKNOWN = 0
    INITIALISING = 1
    INIT_WAIT = 2
    INITIALISED = 3
    CONNECTED = 4
    CLOSING = 5
    CLOSED = 6
    RECONFIGURING = 7
    RECONFIGURED = 8

    @classmethod
    def parse(cls, value: bytes) -> XenbusState:
        """The state a node's value names; ``UNKNOWN`` unless it is one digit, 1 to 8."""
        return cls(int(value)) if len(value) == 1 and value in b"12345678" else cls.UNKNOWN


class Action(Enum):
    """What an end does on the way to its next state."""

    ANNOUNCE = auto()
    """Backend: write what it offers."""
    CONNECT = auto()
    """Backend: read and check the frontend's nodes, map the rings, start serving."""
    DISCONNECT = auto()
    """Backend: stop serving and unmap."""
    CLOSE = auto()
    """Backend: nothing is left to do but to say so."""
    PUBLISH = auto()
    """Frontend: share the rings and write what it chose, in one transaction."""
    OPEN = auto()
    """Frontend: the device may be used."""
    SHUT = auto()
    """Frontend: stop using the device, take the rings back."""


class Step(NamedTuple):
    """An action, and the state to write once it has succeeded."""

    action: Action
    next: XenbusState


_S = XenbusState

_ANNOUNCE = Step(Action.ANNOUNCE, _S.INIT_WAIT)
_CONNECT = Step(Action.CONNECT, _S.CONNECTED)
_DISCONNECT = Step(Action.DISCONNECT, _S.CLOSING)
_CLOSE = Step(Action.CLOSE, _S.CLOSED)

BACKEND: Final[Mapping[tuple[XenbusState, XenbusState], Step]] = {
    # (backend's own state, frontend's state)
    (_S.INITIALISING, _S.UNKNOWN): _ANNOUNCE,
    (_S.INITIALISING, _S.INITIALISING): _ANNOUNCE,
    (_S.INITIALISING, _S.INIT_WAIT): _ANNOUNCE,
    (_S.INITIALISING, _S.INITIALISED): _ANNOUNCE,
    (_S.INITIALISING, _S.CLOSING): _ANNOUNCE,
    (_S.INITIALISING, _S.CLOSED): _ANNOUNCE,
    (_S.INIT_WAIT, _S.INITIALISED): _CONNECT,
    (_S.INIT_WAIT, _S.CONNECTED): _CONNECT,
    (_S.INIT_WAIT, _S.CLOSING): _DISCONNECT,
    (_S.CONNECTED, _S.UNKNOWN): _DISCONNECT,
    (_S.CONNECTED, _S.INITIALISING): _DISCONNECT,
    (_S.CONNECTED, _S.CLOSING): _DISCONNECT,
    (_S.CONNECTED, _S.CLOSED): _DISCONNECT,
    (_S.CLOSING, _S.UNKNOWN): _CLOSE,
    (_S.CLOSING, _S.INITIALISING): _CLOSE,
    (_S.CLOSING, _S.CLOSED): _CLOSE,
    (_S.CLOSED, _S.INITIALISING): _ANNOUNCE,
}

_PUBLISH = Step(Action.PUBLISH, _S.INITIALISED)
_OPEN = Step(Action.OPEN, _S.CONNECTED)
_SHUT = Step(Action.SHUT, _S.CLOSED)

FRONTEND: Final[Mapping[tuple[XenbusState, XenbusState], Step]] = {
    # (frontend's own state, backend's state)
    (_S.INITIALISING, _S.INIT_WAIT): _PUBLISH,
    (_S.INITIALISED, _S.CONNECTED): _OPEN,
    (_S.INITIALISED, _S.UNKNOWN): _SHUT,
    (_S.INITIALISED, _S.CLOSING): _SHUT,
    (_S.INITIALISED, _S.CLOSED): _SHUT,
    (_S.CONNECTED, _S.UNKNOWN): _SHUT,
    (_S.CONNECTED, _S.CLOSING): _SHUT,
    (_S.CONNECTED, _S.CLOSED): _SHUT,
    (_S.CLOSING, _S.UNKNOWN): _SHUT,
    (_S.CLOSING, _S.CLOSING): _SHUT,
    (_S.CLOSING, _S.CLOSED): _SHUT,
}
