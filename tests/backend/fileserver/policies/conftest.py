"""A place where the blocks of a file are exactly what was written."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..quotas import RAM

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory with an empty ``export`` in it."""
    path = Path(tempfile.mkdtemp(dir=RAM))
    (path / "export").mkdir()
    yield path
    shutil.rmtree(path)
