"""Guests that write into one directory at the same time, served by one supervisor."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.lab.guests import together
from tests.lab.service import attach, mount

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.service import Service

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

GUESTS = 5
PIECES = 8
"""Of 64 KiB, in a file."""

# Each stops in the middle of its file until all are in the middle of theirs.
WRITE = f"""
dd if=/dev/urandom of=/tmp/source bs=64k count={PIECES} 2>/dev/null
cd /mnt/share
exec 4>data-$name
dd if=/tmp/source bs=64k count={PIECES // 2} >&4 2>/dev/null
: >begun-$name
while [ "$(ls | grep -c begun-)" -lt {GUESTS} ]; do sleep 1; done
dd if=/tmp/source bs=64k skip={PIECES // 2} >&4 2>/dev/null
exec 4>&-
sha256sum /tmp/source | cut -d' ' -f1
"""


def test_five_guests_write_at_the_same_time(service: Service, export: Path) -> None:
    with together(GUESTS) as guests:
        for guest in guests:
            attach(guest.domid, export)
            guest.check(mount())
        jobs = [guest.begin(f"set -e\nname={guest.name}\n{WRITE}", 300) for guest in guests]
        for guest, job in zip(guests, jobs, strict=True):
            ended = guest.finish(job, 300)
            assert ended.status == 0, ended.output
            content = (export / f"data-{guest.name}").read_bytes()
            assert len(content) == PIECES << 16
            assert ended.output.split() == [hashlib.sha256(content).hexdigest()]
        shown = service.devices()
        assert len({device["pid"] for device in shown}) == GUESTS
        assert [device["bytes_written"] for device in shown] == [PIECES << 16] * GUESTS
        # What one has written, all others read.
        names = " ".join(f"/mnt/share/data-{guest.name}" for guest in guests)
        read = {guest.check(f"cat {names} | sha256sum", 120) for guest in guests}
        assert len(read) == 1
