"""What a worker is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backend.share import Share
    from protocol.xenpv.device import RingOffer
    from protocol.xenpv.ids import Devid, Domid


@dataclass(frozen=True)
class WorkerSettings:
    """One device, checked: the worker need not look into XenStore."""

    platform: str
    """As ``open_platform`` takes it."""
    domid: Domid
    devid: Devid
    share: Share
    allowed_exports: tuple[str, ...]
    """Directories that what is shared, once opened, must be or lie under; empty: any."""
    quota_dir: str
    """Where all workers of one directory find its ledger."""
    workers_dir: str
    """Where the next supervisor finds this worker."""
    rings: tuple[RingOffer, ...]
    max_order: int
    max_msize: int
    max_fids: int
    max_open_files: int
    walls: tuple[str, ...]
    """The walls of the sandbox to put up."""
    required_walls: tuple[str, ...]
    """Those without which the device is not to be served."""
    recovery: bool
    """Whether another process goes on where this one dies."""
    log_level: str
    trace: str | None
    """A capture to append to, or ``None``."""

    @property
    def device(self) -> str:
        """As each log line names it: ``d5/0``."""
        return f"d{self.domid}/{self.devid}"
