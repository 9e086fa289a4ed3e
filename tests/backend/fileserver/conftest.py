"""An export in a temporary directory, a client of it, and a check that nothing is left behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from .client import SECRET, Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def descriptors() -> dict[str, str]:
    """This process's open descriptors and what they are."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the one that listed the directory
    return found


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    before = descriptors()
    yield
    left = {fd: what for fd, what in descriptors().items() if fd not in before}
    assert not left


@pytest.fixture(autouse=True)
def _modes_as_they_come() -> Iterator[None]:
    """As in a worker: the guest's modes are not filtered again."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def export(tmp_path: Path) -> Iterator[Path]:
    """The directory that is served; its neighbours in ``tmp_path`` must stay unseen."""
    path = tmp_path / "export"
    path.mkdir()
    (tmp_path / "secret").write_bytes(SECRET)
    yield path
    # pytest cannot remove what its user may not look into.
    for directory, below, _files in os.walk(tmp_path):
        for name in below:
            if not os.path.islink(os.path.join(directory, name)):
                os.chmod(os.path.join(directory, name), 0o700)


@pytest.fixture
def client(export: Path) -> Iterator[Client]:
    """A client that has attached the export's root as fid 0."""
    client = Client(str(export))
    client.mount()
    yield client
    client.close()
