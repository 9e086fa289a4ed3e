"""A worker as the supervisor sees it, apart from devices and XenStore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.config import Timeouts
from backend.share import Share
from backend.supervisor.fork_server import ForkServer
from backend.supervisor.policy import WorkerPhase
from backend.supervisor.reactor import Reactor
from backend.supervisor.workers import Worker
from backend.worker.settings import WorkerSettings
from protocol.xenpv.ids import Devid, Domid

if TYPE_CHECKING:
    from pathlib import Path


def settings(platform: str, workers_dir: Path) -> WorkerSettings:
    return WorkerSettings(
        platform=platform,
        domid=Domid(5),
        devid=Devid(0),
        share=Share("/nowhere"),
        allowed_exports=(),
        quota_dir="/nowhere",
        workers_dir=str(workers_dir),
        rings=(),
        max_order=1,
        max_msize=4096,
        max_fids=16,
        max_open_files=16,
        walls=(),
        required_walls=(),
        recovery=False,
        log_level="error",
        trace=None,
    )


def test_a_worker_that_was_reaped_is_not_waited_for_again(tmp_path: Path) -> None:
    """Its device may ask it to stop before it has seen that it ended."""
    reactor = Reactor()
    platform = f"embedded:{tmp_path}/no-hypervisor"
    worker: list[Worker] = []

    def changed() -> None:
        if worker[0].phase is WorkerPhase.NONE:
            reactor.stop()

    process, control = ForkServer(platform).start(settings(platform, tmp_path))
    worker.append(Worker("d5/0", process, control, reactor, Timeouts(), changed=changed))
    reactor.run()
    assert "no-hypervisor" in (worker[0].failure or "")
    worker[0].stop()
    assert worker[0].phase is WorkerPhase.NONE
    reactor.close()
