"""One process at a time has a device."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import uuid

import pytest

from frontend_stub.device_lock import DeviceLock

pytestmark = pytest.mark.usefixtures("leak_free")


@pytest.fixture
def name() -> str:
    return f"device of a test {uuid.uuid4()}"


def test_one_after_the_other(name: str) -> None:
    for _ in range(3):
        lock = DeviceLock(name, 0)
        lock.close()
        lock.close()


def test_the_owner_is_named(name: str) -> None:
    lock = DeviceLock(name, 0)
    with pytest.raises(OSError, match=f"in use by process {os.getpid()}") as caught:
        DeviceLock(name, 0.05)
    assert (caught.value.errno, caught.value.filename) == (errno.EBUSY, name)
    other = DeviceLock(f"{name} another", 0)
    other.close()
    lock.close()
    DeviceLock(name, 0).close()


def test_whoever_waits_gets_it_when_it_is_free(name: str) -> None:
    lock = DeviceLock(name, 0)
    got: list[DeviceLock] = []
    waiter = threading.Thread(target=lambda: got.append(DeviceLock(name, 20)))
    waiter.start()
    lock.close()
    waiter.join(20)
    assert len(got) == 1
    got[0].close()


def test_a_killed_owner_lets_go(name: str) -> None:
    program = (
        "import sys; from frontend_stub.device_lock import DeviceLock\n"
        f"lock = DeviceLock({name!r}, 0); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"locked\n"
        with pytest.raises(OSError, match=f"process {owner.pid}"):
            DeviceLock(name, 0)
        owner.kill()
        DeviceLock(name, 20).close()
