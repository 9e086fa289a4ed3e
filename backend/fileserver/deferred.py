"""An answer that may take long, so that the pump can fetch it on another thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.ninep.messages import Message


@dataclass(frozen=True, slots=True)
class Deferred:
    """What a handler returns in place of a reply.  All that it needs is already pinned.

    ``run`` gives the reply or raises ``OSError``; it touches no session and may run on any thread.
    ``release`` must be called exactly once when ``run`` has ended, or in its place; on any thread.
    """

    run: Callable[[], Message]
    release: Callable[[], None]
