"""How a request is carried out by somebody who keeps account of it; see ``backend.journal``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backend.fileserver.lane import Lane
    from backend.fileserver.session import Session
    from protocol.ninep.ids import Fid, Tag
    from protocol.ninep.messages import Message, Request, Twrite

R = TypeVar("R", bound="Request")
T = TypeVar("T")


class Carrying(Protocol):
    """Stands between the pump and the handlers."""

    def serve(self, lane: int | None) -> None:
        """Requests of this lane are looked at from now on; ``None``: of no lane."""

    def carry_out(
        self,
        handler: Callable[[Session, R], T],
        lane: Lane,
        session: Session,
        request: R,
    ) -> T:
        """What ``handler`` gives or raises, perhaps without calling it."""

    def owe(self, lane: Lane, request: Message, frame: bytes) -> None:
        """A request is taken that is answered later; ``frame`` is all of it but data."""

    def owe_reply(self, lane: Lane, tag: Tag, reply: bytes) -> None:
        """The reply to the request that is taken next waits for room."""

    def owe_late_reply(self, lane: Lane, tag: Tag, reply: bytes) -> None:
        """The reply to a request that was taken before waits for room."""

    def cancelled(self, tag: Tag) -> None:
        """What waits on this tag gets no reply."""

    def forget(self) -> None:
        """A new session: what the old one asked gets no reply."""

    def together(self, kind: type[Message]) -> bool:
        """Whether requests of this kind may be settled with others: nothing is carried out for
        them but their handlers, perhaps twice.
        """

    def reading(self, lane: Lane, session: Session, fid: Fid) -> None:
        """A Tread of 9P2000.u, which may be a directory's, is about to be carried out."""

    def write(
        self, lane: Lane, session: Session, request: Twrite, buffers: Sequence[memoryview]
    ) -> int:
        """As ``io.write``."""
