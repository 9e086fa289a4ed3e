"""What a program needs of the platform it runs on: makers of the ports of protocol.xenpv.ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import EventChannels, GrantMapper, GrantSharer, OpenChannels, Store


class Platform(Protocol):
    """One domain's view of a hypervisor.  Each call makes a new handle that the caller closes.

    Every method raises ``OSError`` when the hypervisor, the driver or the daemon is not there.
    Handles are not to be used on both sides of a ``fork``.
    """

    @property
    def own_domid(self) -> Domid:
        """The domain this process runs in."""

    def grant_mapper(self) -> GrantMapper:
        """Maps pages that other domains granted to us."""

    def grant_sharer(self) -> GrantSharer:
        """Grants pages of ours to other domains."""

    def event_channels(self) -> EventChannels:
        """Event channels, with a descriptor to wait on."""

    def event_channel_adopter(self) -> Callable[[OpenChannels], EventChannels]:
        """What makes a handle of one that another process has described, and uses no more.

        It is told this process's numbers of the descriptors, takes them over, and opens nothing: it
        may be called behind walls.  Raises ``OSError``, and ``ValueError`` for what no process of
        ours describes.
        """

    def store(self) -> Store:
        """A connection to XenStore."""

    def close(self) -> None:
        """Give back what the platform holds; handles it made stay until each is closed."""
