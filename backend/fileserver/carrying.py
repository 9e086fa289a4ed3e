"""How a request is carried out by somebody who keeps account of it; see ``backend.journal``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backend.fileserver.lane import Lane
    from backend.fileserver.session import Session
    from protocol.ninep.messages import Request, Twrite

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

    def write(
        self, lane: Lane, session: Session, request: Twrite, buffers: Sequence[memoryview]
    ) -> int:
        """As ``io.write``."""
