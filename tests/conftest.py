"""What tests of all folders share: a running Dom0, and a look at what a test left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools.testbed import Testbed

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the long tests do more or less of."""
    parser.addoption("--kills", type=int, default=1000, help="workers to kill (-m long)")


def descriptors() -> dict[int, str]:
    """What this process has open, but for the listing itself."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
    return found


def children() -> set[int]:
    """The processes of which this one, by any of its threads, is the parent."""
    while True:
        found: set[int] = set()
        try:
            for task in Path("/proc/self/task").iterdir():
                found.update(map(int, (task / "children").read_text(encoding="ascii").split()))
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread has ended meanwhile, and left its children to another
        return found


@pytest.fixture
def leak_free() -> Iterator[None]:
    """Descriptors and child processes are afterwards what they were before."""
    before, offspring = descriptors(), children()
    yield
    left = {fd: what for fd, what in descriptors().items() if fd not in before}
    assert not left
    assert children() <= offspring


@pytest.fixture
def bed(leak_free: None) -> Iterator[Testbed]:
    """A hypervisor and a supervisor; closing it fails on any grant, port or process left over."""
    with Testbed() as running:
        yield running


@pytest.fixture
def recovering(leak_free: None) -> Iterator[Testbed]:
    """The same, whose workers are replaced when they die."""
    with Testbed(config="recovery = true\n") as running:
        yield running


@pytest.fixture
def user_attributes(tmp_path: Path) -> None:
    """Skipped where the file system of ``tmp_path`` keeps none (tmpfs before Linux 6.6)."""
    try:
        os.getxattr(tmp_path, "user.any")
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            pytest.skip("the file system of the test's directory has no user attributes")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An empty folder of Dom0."""
    path = tmp_path / "export"
    path.mkdir()
    return path
