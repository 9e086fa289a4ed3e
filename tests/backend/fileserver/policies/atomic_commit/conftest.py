"""A client under ``commit=atomic``, with and without the kernel's unnamed files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.policies.atomic_commit import AtomicCommitTree
from tests.backend.fileserver.client import Client
from tests.backend.fileserver.disk import WatchedDisk
from tests.backend.fileserver.policies.atomic_commit.seen import hidden

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["O_TMPFILE", "hidden names"])
def _kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "hidden names":
        # What is left of the flag for a kernel that does not know it: EISDIR.
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)


@pytest.fixture
def disk() -> WatchedDisk:
    return WatchedDisk()


@pytest.fixture
def client(_kernel: None, export: Path, disk: WatchedDisk) -> Iterator[Client]:
    client = Client(str(export), wrap=lambda local: AtomicCommitTree(disk.wrap(local)))
    client.mount()
    yield client
    client.close()
    assert hidden(export) == set()
