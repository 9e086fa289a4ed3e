"""One request in flight: what its reply must be, where its data go, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from protocol.ninep.messages import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from frontend_stub.transport import Buffer, Slices
    from protocol.ninep.ids import Tag

R = TypeVar("R", bound=Message)


class Pending(Generic[R]):
    """A request in flight, until ``Client.wait`` or ``Client.cancel`` has settled it."""

    __slots__ = (
        "done",
        "error",
        "expected",
        "flushing",
        "name",
        "payload",
        "reply",
        "room",
        "sink",
        "tag",
    )

    def __init__(
        self,
        tag: Tag,
        expected: type[R],
        *,
        payload: Sequence[Buffer] = (),
        sink: Callable[[Slices], object] | None = None,
        room: int = 0,
        name: str | None = None,
    ) -> None:
        self.tag: Final = tag
        self.expected: Final = expected
        self.payload: Final = payload  # kept alive: the transport may still be sending from it
        self.sink: Final = sink
        self.room: Final = room
        self.name: Final = name
        self.done = False
        self.flushing = False
        self.reply: R | None = None
        self.error: OSError | None = None

    def settle(self, reply: R | None, error: OSError | None) -> None:
        """Note the outcome: one of the two."""
        self.reply, self.error, self.done = reply, error, True

    def result(self) -> R:
        """The reply.  Raises the request's ``OSError``."""
        if self.error is not None:
            raise self.error
        assert self.reply is not None, "result() before wait()"  # noqa: S101 -- a caller's bug
        return self.reply
