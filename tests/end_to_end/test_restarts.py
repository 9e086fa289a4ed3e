"""The supervisor is restarted again and again in the middle of transfers: no guest notices."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import threading
from typing import TYPE_CHECKING

from frontend_stub.connect import connect_device
from frontend_stub.share import Share
from protocol.xenpv.ids import Domid
from tests.backend.supervisor.program import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tools.testbed import Testbed

GUESTS = (Domid(5), Domid(6))
RESTARTS = (signal.SIGTERM, signal.SIGKILL) * 3
LENGTH = 3_000_001
WINDOW = 4


class Transfers:
    """A guest that writes files and reads them back until it is told that it is enough."""

    def __init__(self, share: Share, seed: int) -> None:
        self._share = share
        self._dice = random.Random(seed)
        self._enough = threading.Event()
        self.done = 0
        self.digests: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._enough.is_set():
            name, data = f"f{self.done % 5}", self._dice.randbytes(LENGTH)
            with self._share.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC) as file:
                assert file.pwrite(data, 0, window=WINDOW) == LENGTH
                back = bytearray(LENGTH + 1)
                assert file.read_into(back, 0, window=WINDOW) == LENGTH
            assert back[:LENGTH] == data
            self.digests[name] = hashlib.sha256(data).hexdigest()
            self.done += 1

    def go_beyond(self, count: int) -> None:
        wait_until(lambda: self.done > count, "transfers do not go on")

    def end(self) -> None:
        self._enough.set()
        self._thread.join()


def test_transfers_go_on_while_supervisors_come_and_go(bed: Testbed, tmp_path: Path) -> None:
    shares = []
    for domid in GUESTS:
        (tmp_path / str(domid)).mkdir()
        bed.guest(domid, tmp_path / str(domid))
        shares.append(Share.attach(connect_device(bed.platform, domid)))
    transfers = [Transfers(share, seed) for seed, share in enumerate(shares)]
    workers = [bed.device(domid)["pid"] for domid in GUESTS]
    try:
        for number in RESTARTS:
            before = [guest.done for guest in transfers]
            bed.restart_supervisor(number)
            devices = [bed.device(domid) for domid in GUESTS]
            assert [device["pid"] for device in devices] == workers
            assert all(device["answers"] for device in devices)
            for guest, then in zip(transfers, before, strict=True):
                guest.go_beyond(then)
    finally:
        for guest in transfers:
            guest.end()
    for domid, guest in zip(GUESTS, transfers, strict=True):
        folder = tmp_path / str(domid)
        assert guest.digests == {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()
        }
    for share in shares:
        share.close()
