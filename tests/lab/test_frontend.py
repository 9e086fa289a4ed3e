"""Our own frontend, in a guest that has no 9p module."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.lab.guests import PYTHON, Guest
from tests.lab.service import attach

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.service import Service

pytestmark = pytest.mark.lab

SIZE = 64 << 20


def test_64_mib_there_and_back(service: Service, export: Path) -> None:
    with Guest(PYTHON) as guest:
        attach(guest.domid, export, "--until", "offered")
        assert "9p" not in guest.check("cat /proc/filesystems").split()
        front = "xen-fileproxy-front --tag share"
        digests = guest.check(
            f"dd if=/dev/urandom of=/tmp/sent bs=1M count={SIZE >> 20} 2>/dev/null\n"
            f"{front} put /tmp/sent state\n"
            f"{front} get state /tmp/received\n"
            "sha256sum /tmp/sent /tmp/received | cut -d' ' -f1",
            300,
        ).split()[-2:]
        content = (export / "state").read_bytes()
        assert len(content) == SIZE
        assert digests == [hashlib.sha256(content).hexdigest()] * 2
    assert service.pid
