"""The platform that runs on the embedded hypervisor in a run directory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from backend.platform.embedded.event_handle import EmbeddedEventChannels
from backend.platform.embedded.grant_handles import EmbeddedGrantMapper, EmbeddedGrantSharer
from backend.platform.embedded.handle import Handle
from backend.platform.embedded.libc import require_4k_pages
from backend.platform.embedded.toolstack import dom0_store, guest_store
from backend.platform.embedded.wire import Kind
from protocol.xenpv.ids import DOM0

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import OpenChannels, Store


class EmbeddedPlatform:
    """``Platform`` for a process that acts as domain ``domid``; it holds nothing itself."""

    def __init__(self, rundir: str, domid: Domid) -> None:
        require_4k_pages()
        self._rundir = rundir
        self.own_domid: Final = domid

    def grant_mapper(self) -> EmbeddedGrantMapper:
        """A new handle.  Raises ``OSError``."""
        return EmbeddedGrantMapper(self._rundir, self.own_domid)

    def grant_sharer(self) -> EmbeddedGrantSharer:
        """A new handle.  Raises ``OSError``."""
        return EmbeddedGrantSharer(self._rundir, self.own_domid)

    def event_channels(self) -> EmbeddedEventChannels:
        """A new handle.  Raises ``OSError``."""
        return EmbeddedEventChannels(Handle(self._rundir, Kind.EVENTS, self.own_domid))

    def event_channel_adopter(self) -> Callable[[OpenChannels], EmbeddedEventChannels]:
        """Go on with another process's handle."""
        return partial(EmbeddedEventChannels.adopted, self._rundir, self.own_domid)

    def store(self) -> Store:
        """A new connection to XenStore.  Raises ``OSError``."""
        from backend.platform.store import connect_store

        if self.own_domid == DOM0:
            return connect_store(dom0_store(self._rundir))
        return connect_store(guest_store(self._rundir, self.own_domid))

    def close(self) -> None:
        """Nothing to give back: each handle is closed by itself."""
