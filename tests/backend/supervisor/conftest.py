"""A hypervisor, a supervisor and an export, each gone without a trace after every test."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.platform import open_platform
from backend.platform.embedded.hypervisor import EmbeddedHypervisor
from tests.backend.supervisor.program import Supervisor, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.xenpv.ports import Store


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a path short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="xf") as name:
        yield Path(name)


@pytest.fixture
def hypervisor(place: Path) -> Iterator[EmbeddedHypervisor]:
    with EmbeddedHypervisor.start(place / "hv") as hypervisor:
        yield hypervisor


@pytest.fixture
def platform(place: Path) -> str:
    return f"embedded:{place / 'hv'}"


@pytest.fixture
def store(hypervisor: EmbeddedHypervisor, platform: str) -> Iterator[Store]:
    """Dom0's, with a domain 5 to attach devices to."""
    hypervisor.create_domain(5)
    store = open_platform(platform).store()
    yield store
    store.close()


@pytest.fixture
def export(place: Path) -> Path:
    path = place / "export"
    path.mkdir()
    (path / "hello").write_bytes(b"hello, guest\n")
    return path


@pytest.fixture
def supervisor(hypervisor: EmbeddedHypervisor, platform: str, place: Path) -> Iterator[Supervisor]:
    with Supervisor(platform, place / "run") as supervisor:
        yield supervisor
        for domid in filter(None, hypervisor.domains()):
            hypervisor.destroy_domain(domid)
        assert supervisor.stop() == 0
        assert not [line for line in supervisor.lines if "Traceback" in line], supervisor.lines
        wait_until(lambda: not hypervisor.leaks(), "leaks", hypervisor.leaks)
