"""The client of these tests speaks 9P2000.u."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.backend.fileserver.dotu_client import DotuClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def client(export: Path) -> Iterator[DotuClient]:
    """A client that has attached the export's root as fid 0."""
    client = DotuClient(str(export))
    client.mount()
    yield client
    client.close()
