"""A ring as a frontend makes it: granted pages, an interface page that names them, a port."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from backend.platform.barrier import BARRIER
from protocol.xenpv.device import RingOffer
from protocol.xenpv.layout import RING_ORDER, RING_REFS
from protocol.xenpv.ring import frontend_rings

if TYPE_CHECKING:
    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import EventChannels, GrantSharer


class FrontRing:
    """One ring shared with ``backend``: its two halves, its port, and the pages under it."""

    def __init__(
        self, sharer: GrantSharer, events: EventChannels, backend: Domid, order: int, name: str
    ) -> None:
        """Raises ``OSError``, when nothing stays shared: ENOSPC where the grant table is full."""
        self._events = events
        with ExitStack() as undo:
            page = sharer.share(backend, 1)
            undo.callback(page.close)
            data = sharer.share(backend, 1 << order)
            undo.callback(data.close)
            words = page.memory.cast("I")
            words[RING_ORDER] = order
            for word, gref in enumerate(data.grefs, RING_REFS):
                words[word] = gref
            self.replies, self.requests = frontend_rings(words, data.memory, name, BARRIER)
            self.port: Final = events.alloc_unbound(backend)
            self.offer: Final = RingOffer(page.grefs[0], self.port)
            self._pages = undo.pop_all()

    def close(self) -> None:
        """Give the port back, and the pages; not while anybody uses the halves."""
        with suppress(OSError):  # the platform may be gone before us
            self._events.unbind(self.port)
        self._pages.close()
