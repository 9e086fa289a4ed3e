"""A file to lock, and others who lock it: another guest, and a program of Dom0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.backend.fileserver.client import Client
from tests.backend.fileserver.lock_holder import LockHolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protocol.ninep.ids import Fid


@pytest.fixture
def other(export: Path) -> Iterator[Client]:
    """Another guest's client of the same export."""
    other = Client(str(export))
    other.mount()
    yield other
    other.close()


@pytest.fixture
def file(client: Client) -> Fid:
    return client.create(b"file")


@pytest.fixture(params=["posix", "ofd"])
def dom0(request: pytest.FixtureRequest, file: Fid, export: Path) -> Iterator[LockHolder]:
    """A program of Dom0 that locks the same file."""
    del file  # it exists
    with LockHolder(request.param, export / "file") as holder:
        yield holder
