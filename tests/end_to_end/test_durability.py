"""What fsync acknowledged survives the death of every process; a dead worker takes nobody along."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from frontend_stub.connect import connect_device
from frontend_stub.share import Share
from protocol.xenpv.ids import Domid
from tools.testbed import Testbed

if TYPE_CHECKING:
    from pathlib import Path

GUEST, OTHER = Domid(5), Domid(6)


def test_what_fsync_acknowledged_is_there_when_every_process_is_killed(
    leak_free: None, export: Path
) -> None:
    content = os.urandom(3 << 20)
    bed = Testbed()
    try:
        bed.guest(GUEST, export)
        share = Share.attach(connect_device(bed.platform, GUEST))
        file = share.open("state", os.O_WRONLY | os.O_CREAT)
        file.pwrite(content, 0)
        file.fsync()
        # Written, but not synced: may be there or not, must not disturb what was.
        file.pwrite(b"more", len(content))
        os.kill(bed.device(GUEST)["pid"], signal.SIGKILL)
        bed.supervisor.kill()
        bed.supervisor.wait()
        bed.hypervisor.kill()
        share.close()
    finally:
        bed.discard()
    assert (export / "state").read_bytes()[: len(content)] == content


def test_a_killed_worker_closes_its_device_and_no_other(bed: Testbed, export: Path) -> None:
    bed.guest(GUEST, export)
    bed.guest(OTHER, export)
    with Share.attach(connect_device(bed.platform, OTHER)) as other:
        with Share.attach(connect_device(bed.platform, GUEST)) as share:
            os.kill(bed.device(GUEST)["pid"], signal.SIGKILL)
            with pytest.raises(ConnectionResetError, match="worker died"):
                share.listdir()
        assert other.listdir() == []
        with Share.attach(connect_device(bed.platform, GUEST)) as again:
            assert again.listdir() == []


def test_a_frontend_that_is_killed_in_the_middle_of_a_write_can_be_followed_by_another(
    bed: Testbed, export: Path
) -> None:
    bed.guest(GUEST, export)
    for _ in range(5):
        with subprocess.Popen(
            bed.front(GUEST, "put", "-", "endless"), stdin=subprocess.PIPE
        ) as writer:
            assert writer.stdin is not None
            written = 0
            while written < 8 << 20:
                written += writer.stdin.write(bytes(1 << 20))
            writer.kill()
    with Share.attach(connect_device(bed.platform, GUEST)) as share:
        assert "endless" in share.listdir()


def test_a_destroyed_domain_leaves_nothing_behind(bed: Testbed, export: Path) -> None:
    bed.guest(GUEST, export)
    share = Share.attach(connect_device(bed.platform, GUEST))
    worker = os.pidfd_open(bed.device(GUEST)["pid"])
    try:
        bed.hypervisor.destroy_domain(GUEST)
        assert select.select([worker], [], [], 20)[0]
    finally:
        os.close(worker)
    bed.await_status(lambda status: not status["devices"])
    with pytest.raises(OSError, match=r".+"):
        share.listdir()
    share.close()
    store = bed.hypervisor.platform().store()
    try:
        with pytest.raises(FileNotFoundError):
            store.read(f"/local/domain/0/backend/xen_9pfs/{GUEST}")
    finally:
        store.close()
    bed.guest(GUEST, export)  # the domid may be used again
    with Share.attach(connect_device(bed.platform, GUEST)) as again:
        assert again.listdir() == []
