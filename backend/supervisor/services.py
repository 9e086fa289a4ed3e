"""What all devices of a supervisor share."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backend.confinement.walls import missing
from backend.worker.settings import WorkerSettings
from protocol.xenpv.device import BackendOffer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend.config import Config
    from backend.share import Share
    from backend.supervisor.checks import ExportChecks
    from backend.supervisor.fork_server import ForkServer
    from backend.supervisor.keys import DeviceKey
    from backend.supervisor.reactor import Reactor
    from backend.supervisor.records import Records
    from protocol.xenpv.device import RingOffer
    from protocol.xenpv.ports import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """Everything a device needs beside its own state."""

    store: Store
    root: str
    """The directory of all devices in XenStore."""
    reactor: Reactor
    config: Config
    checks: ExportChecks
    forks: ForkServer
    records: Records
    version: str
    """The program's."""
    trace: str | None
    """A capture that workers append to."""
    said: set[str] = field(default_factory=set)
    """What the log has of the sandbox."""

    @property
    def offer(self) -> BackendOffer:
        """What is offered to every frontend."""
        limits = self.config.limits
        return BackendOffer(limits.max_rings, limits.max_ring_page_order)

    def say_missing(self, walls: Mapping[str, str]) -> None:
        """Warn of the walls that do not hold: once, as all workers have the same kernel."""
        for what in missing(walls):
            if what not in self.said:
                self.said.add(what)
                log.warning("sandbox: %s", what)

    def worker_settings(
        self, key: DeviceKey, share: Share, rings: list[RingOffer]
    ) -> WorkerSettings:
        """What a worker for this device is told."""
        limits, confinement = self.config.limits, self.config.confinement
        return WorkerSettings(
            platform=self.config.platform,
            domid=key.domid,
            devid=key.devid,
            share=share,
            allowed_exports=self.config.allowed_exports,
            quota_dir=self.config.quota_dir,
            workers_dir=self.config.workers_dir,
            rings=tuple(rings),
            max_order=limits.max_ring_page_order,
            max_msize=limits.max_msize,
            max_fids=limits.max_fids,
            max_open_files=min(
                limits.max_open_files, share.max_open_files or limits.max_open_files
            ),
            walls=confinement.walls,
            required_walls=confinement.required_walls,
            recovery=self.config.recovery,
            log_level=self.config.log_level,
            trace=self.trace,
        )
