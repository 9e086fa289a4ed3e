"""What the lab's tests share: one supervisor for all, guests for a module or a test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.platform import open_platform
from tests.lab.guests import KERNELS, Guest
from tests.lab.guests import LAB as GUEST_ROOTS
from tests.lab.service import Service
from tests.lab.unit import SYSTEMD, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.xenpv.ports import Store

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Elsewhere than in the lab's Dom0 nothing of this can run."""
    if not GUEST_ROOTS.is_dir():
        for item in items:
            if item.get_closest_marker("lab"):
                item.add_marker(pytest.mark.skip(reason="needs real Xen: make lab"))


def pytest_exception_interact(
    node: pytest.Item | pytest.Collector, report: pytest.CollectReport | pytest.TestReport
) -> None:
    """Say at once why a test failed: the others may take an hour yet."""
    reporter = node.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and node.path.parent == HERE:
        reporter.write_line(f"\n{report.longreprtext}")


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """The running program."""
    with Unit() if SYSTEMD.is_dir() else Service() as service:
        yield service


@pytest.fixture
def store() -> Iterator[Store]:
    """Dom0's XenStore."""
    store = open_platform("xen").store()
    yield store
    store.close()


@pytest.fixture(scope="module")
def guest(service: Service) -> Iterator[Guest]:
    """A guest that mounts, for all tests of a module."""
    with Guest() as guest:
        yield guest


@pytest.fixture(scope="module", params=KERNELS)
def each_guest(service: Service, request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A guest that mounts, with each kernel in turn."""
    with Guest(kernel=request.param) as guest:
        yield guest


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An empty directory of Dom0."""
    path = tmp_path / "export"
    path.mkdir()
    return path
