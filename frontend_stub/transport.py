"""What the 9P client needs of a transport: frames out, replies in, and one place to wait.

Two transports exist: the device's rings (``ring_transport``) and a stream socket
(``socket_transport``).  Neither blocks except in ``wait``, so that a client that has no room to
send keeps taking replies: otherwise both ends could wait for each other for ever.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final, Protocol

from protocol.ninep.codec import HEADER_SIZE

Buffer = bytes | bytearray | memoryview
"""One piece of a request's payload."""

Slices = Sequence[memoryview]
"""A reply's payload in the transport's own memory: valid only during the call that gets it."""

Deliver = Callable[[bytes, int, Slices], None]
"""``deliver(frame, size, payload)``: a whole reply.

``frame`` is all of it, or the fixed part where the message carries file data (Rread, Rreaddir),
which is then in ``payload``; ``size`` is the frame's declared size, both included.
"""

FRAME_HEADER: Final = Struct("<IB")
"""size[4] type[1]: what a transport looks at; the rest is the client's business."""


class Transport(Protocol):
    """One connection to a 9P server.  Not for use by several threads at once."""

    @property
    def name(self) -> str:
        """The server, as error messages name it."""

    @property
    def max_msize(self) -> int:
        """The largest message, in bytes, that this transport should carry either way."""

    def limit_replies(self, msize: int) -> None:
        """From now on a reply of more than ``msize`` bytes is a broken protocol."""

    def try_send(self, tag: int, frame: bytes, payload: Sequence[Buffer]) -> bool:
        """Take a request whole and return ``True``, or touch nothing and return ``False``: no room.

        The server need not hear of it before ``flush``.  ``payload`` must stay unchanged until
        the reply has come.  Raises ``OSError`` when the connection is gone or the peer broke it.
        """

    def flush(self) -> None:
        """Tell the server of everything sent since the last time: one notification a batch."""

    def receive(self, deliver: Deliver) -> int:
        """Hand over every reply that has arrived whole, and return how many.  Never waits.

        Raises ``OSError``: ECONNRESET when the connection is gone, EPROTO when a frame's size or
        a ring's index is impossible.
        """

    def wait(self, seconds: float) -> None:
        """Wait until ``receive`` or ``try_send`` may do better, or the time is over.

        It changes nothing, so a signal's exception may leave it anywhere.  Raises ``OSError`` when
        the connection turns out to be gone.
        """

    def polled(self) -> dict[int, int]:
        """For who waits for other things too: what to poll in place of ``wait``, for which events.

        When any of it is ready, ``wait(0)`` and ``receive`` see to it.
        """

    def close(self) -> None:
        """Give everything back; idempotent."""


def bad_size(name: str, size: int, msize: int) -> OSError:
    """The error (EPROTO) for a reply whose declared ``size`` none can have."""
    return OSError(
        errno.EPROTO, f"a reply of {size} bytes; {HEADER_SIZE} to {msize} are possible", name
    )
