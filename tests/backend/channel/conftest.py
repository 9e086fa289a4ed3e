"""Guests with channels, which leave no descriptor behind."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .guest import Guest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sockets(leak_free: None) -> Iterator[Path]:
    """A folder whose name is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="xf") as name:
        yield Path(name)


@pytest.fixture
def guest(export: Path, sockets: Path) -> Iterator[Guest]:
    guest = Guest(export, sockets)
    yield guest
    guest.close()
    session = guest.session
    assert (session.limits.fids.used, session.limits.open_files.used) == (0, 0)
    assert guest.connection.counters.unforeseen == 0
