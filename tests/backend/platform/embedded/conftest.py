"""An embedded hypervisor of its own for each test, which must be clean afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.platform.embedded.hypervisor import EmbeddedHypervisor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def hypervisor(tmp_path: Path) -> Iterator[EmbeddedHypervisor]:
    with EmbeddedHypervisor.start(tmp_path / "run") as hypervisor:
        hypervisor.create_domain(5)
        yield hypervisor
        assert hypervisor.leaks() == []
