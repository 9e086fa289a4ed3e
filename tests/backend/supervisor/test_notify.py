"""systemd hears that the supervisor serves, when it does and not before."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from backend.supervisor import notify
from tests.backend.supervisor.program import PATIENCE, Supervisor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("abstract", [False, True])
def test_the_message_arrives_once(
    abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"xen-fileproxy-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(f"\0{name}" if abstract else name)
        service.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else name)
        notify.ready()
        assert service.recv(100) == b"READY=1"
        notify.ready()
        with pytest.raises(BlockingIOError):
            service.recv(100)
    assert "NOTIFY_SOCKET" not in os.environ


def test_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.ready()


def test_whoever_waited_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify.ready()


@pytest.mark.usefixtures("hypervisor")
def test_the_supervisor_says_it_when_its_status_can_be_asked(
    platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(tmp_path / "notify"))
        service.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with Supervisor(platform, tmp_path / "run") as supervisor:
            assert service.recv(100) == b"READY=1"
            assert supervisor.status()["devices"] == []
