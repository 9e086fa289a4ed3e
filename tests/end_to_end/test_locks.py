"""Two guests on one export, each with a worker of its own, and a program of Dom0: one locks."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from frontend_stub.connect import connect_device
from frontend_stub.locks import Lock
from frontend_stub.share import Share
from protocol.ninep.flags import LOCK_BLOCKED, LOCK_FLAGS_BLOCK, LOCK_SUCCESS, LOCK_TYPE_WRLCK
from protocol.ninep.messages import Rlock, Tlock
from protocol.xenpv.ids import Domid
from tests.backend.fileserver.lock_holder import LockHolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from frontend_stub.file import File
    from frontend_stub.pending import Pending
    from tools.testbed import Testbed

GUEST, OTHER = Domid(5), Domid(6)
ELSEWHERE = Lock(shared=False, start=0, length=0, proc_id=0, client_id=b"")


@pytest.fixture
def shares(bed: Testbed, export: Path) -> Iterator[dict[Domid, Share]]:
    """Of both guests."""
    (export / "file").touch()
    shares = {}
    for domid in (GUEST, OTHER):
        bed.guest(domid, export)
        shares[domid] = Share.attach(connect_device(bed.platform, domid))
    yield shares
    for share in shares.values():
        share.close()


def wait_for_lock(file: File) -> Pending[Rlock]:
    """Ask for a lock that is taken; other requests are answered before this one."""
    fid, owner = file.fid, (os.getpid(), os.uname().nodename.encode())
    pending = file.client.submit(
        lambda tag: Tlock(tag, fid, LOCK_TYPE_WRLCK, LOCK_FLAGS_BLOCK, 0, 0, *owner), Rlock
    )
    file.stat()
    assert file.pwrite(b"meanwhile", 0) == 9
    assert not pending.done
    return pending


def test_one_locks_and_the_other_gets_it_when_it_is_free(shares: dict[Domid, Share]) -> None:
    mine, theirs = (share.open("file", os.O_RDWR) for share in shares.values())
    assert mine.lock()
    assert not theirs.lock()
    assert theirs.lock_in_the_way() == ELSEWHERE
    pending = wait_for_lock(theirs)
    mine.unlock()
    assert theirs.client.wait(pending).status == LOCK_SUCCESS
    assert not mine.lock(shared=True)
    theirs.close()
    assert mine.lock(shared=True)


def test_a_wait_ends_at_its_time_and_can_be_cancelled(shares: dict[Domid, Share]) -> None:
    mine, theirs = (share.open("file", os.O_RDWR) for share in shares.values())
    assert mine.lock()
    cancelled, pending = wait_for_lock(theirs), wait_for_lock(theirs)
    theirs.client.cancel(cancelled)
    assert theirs.client.wait(pending).status == LOCK_BLOCKED
    mine.unlock()
    assert mine.lock()  # nobody has got it instead


@pytest.mark.parametrize("end", ["worker", "domain", "frontend"])
def test_whoever_dies_holds_nothing(bed: Testbed, shares: dict[Domid, Share], end: str) -> None:
    mine, theirs = (share.open("file", os.O_RDWR) for share in shares.values())
    assert mine.lock()
    pending = wait_for_lock(theirs)
    if end == "worker":
        os.kill(bed.device(GUEST)["pid"], signal.SIGKILL)
    elif end == "domain":
        bed.hypervisor.destroy_domain(GUEST)
    else:
        shares[GUEST].close()
    assert theirs.client.wait(pending).status == LOCK_SUCCESS


@pytest.mark.parametrize("manner", ["posix", "ofd"])
def test_a_program_of_dom0_is_one_of_them(
    shares: dict[Domid, Share], export: Path, manner: str
) -> None:
    file = shares[GUEST].open("file", os.O_RDWR)
    with LockHolder(manner, export / "file") as dom0:
        assert file.lock(0, 10)
        assert not dom0.ask("r", 9, 1)
        assert dom0.ask("w", 10, 1)
        assert not file.lock(10, 1, shared=True)
        pending = wait_for_lock(file)
        dom0.kill()
        assert file.client.wait(pending).status == LOCK_SUCCESS
