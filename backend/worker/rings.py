"""Maps a frontend's rings and binds their event channels: everything checked before it is used."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.platform.barrier import BARRIER
from protocol.xenpv.ids import Gref
from protocol.xenpv.layout import RING_ORDER, XEN_9PFS_DATA_INTF
from protocol.xenpv.ports import PAGE_SIZE
from protocol.xenpv.ring import ConsumerRing, ProducerRing, backend_rings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocol.xenpv.device import RingOffer
    from protocol.xenpv.ids import Domid, Evtchn
    from protocol.xenpv.ports import EventChannels, GrantMapper, SharedPages

_RING_ORDER: Final = Struct("<I")


class ConnectError(Exception):
    """A ring cannot be used as the frontend offers it; the text says which, and why."""


class KnownRing(NamedTuple):
    """A ring in use, as one process tells it to the one that is to go on with it."""

    number: int
    order: int
    port: Evtchn
    grefs: tuple[Gref, ...]

    def bound(self, mapper: GrantMapper, domid: Domid) -> BoundRing:
        """It, mapped here, as ``BoundRing.mapped_again``.  Raises ``OSError``."""
        number, order, port, grefs = self
        page, data, requests, replies = _mapped(mapper, domid, grefs, number)
        return BoundRing(number, order, requests, replies, port, (page, data), grefs)


class BoundRing(NamedTuple):
    """A ring in use."""

    number: int
    order: int
    requests: ConsumerRing
    replies: ProducerRing
    port: Evtchn
    pages: tuple[SharedPages, ...]
    """What keeps the mapping; it goes with the process."""
    grefs: tuple[Gref, ...]
    """Of the interface page, and then of the data pages."""

    def unmap(self) -> None:
        """Keep the port alone; the indices are those of the moment."""
        self.requests.let_go()
        self.replies.let_go()
        for pages in self.pages:
            pages.close()

    def mapped_again(self, mapper: GrantMapper, domid: Domid) -> BoundRing:
        """The same ring in another process, not to be used before ``resume`` of both halves: the
        indices that the peer sees are of where the process before this one has come to.

        Nothing is read of the interface page that a frontend has said before.  Raises ``OSError``.
        """
        page, data, requests, replies = _mapped(mapper, domid, self.grefs, self.number)
        return self._replace(requests=requests, replies=replies, pages=(page, data))

    @property
    def known(self) -> KnownRing:
        """What another process needs to go on with it."""
        return KnownRing(self.number, self.order, self.port, self.grefs)


def bind_ring(
    mapper: GrantMapper,
    events: EventChannels,
    domid: Domid,
    number: int,
    offer: RingOffer,
    *,
    max_order: int,
) -> BoundRing:
    """Map ring ``number`` and bind its event channel.  Raises ``ConnectError``."""
    try:
        page = mapper.map(domid, [offer.ring_ref])
    except OSError as error:
        raise ConnectError(
            f"ring-ref{number} {offer.ring_ref}: cannot be mapped: {error.strerror}"
        ) from error
    order, grefs = _read_interface(bytes(page.memory[:PAGE_SIZE]), number, max_order)
    try:
        data = mapper.map(domid, grefs)
    except OSError as error:
        raise ConnectError(
            f"ring {number}: its {len(grefs)} data pages cannot be mapped: {error.strerror}"
        ) from error
    try:
        port = events.bind_interdomain(domid, offer.event_channel)
    except OSError as error:
        raise ConnectError(
            f"event-channel-{number} {offer.event_channel}: cannot be bound: {error.strerror}"
        ) from error
    requests, replies = _halves(page, data, number)
    return BoundRing(number, order, requests, replies, port, (page, data), (offer.ring_ref, *grefs))


def _mapped(
    mapper: GrantMapper, domid: Domid, grefs: Sequence[Gref], number: int
) -> tuple[SharedPages, SharedPages, ConsumerRing, ProducerRing]:
    page, data = mapper.map(domid, grefs[:1]), mapper.map(domid, grefs[1:])
    return page, data, *_halves(page, data, number)


def _halves(page: SharedPages, data: SharedPages, number: int) -> tuple[ConsumerRing, ProducerRing]:
    return backend_rings(page.memory.cast("I"), data.memory, f"ring {number}", BARRIER)


def _read_interface(copy: bytes, number: int, max_order: int) -> tuple[int, list[Gref]]:
    """The order and the data pages' references, from a private copy of the interface page."""
    (order,) = _RING_ORDER.unpack_from(copy, 4 * RING_ORDER)
    if not 1 <= order <= max_order:
        raise ConnectError(f"ring {number}: ring_order is {order}; it must be 1 to {max_order}")
    return order, [Gref(ref) for ref in XEN_9PFS_DATA_INTF.parse(copy).ref]
