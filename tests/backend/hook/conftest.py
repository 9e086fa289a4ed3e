"""A libexec directory as Xen's package has it, and a hypervisor with its supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.backend.supervisor.conftest import export, hypervisor, place, platform, supervisor

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["export", "hypervisor", "libexec", "place", "platform", "supervisor"]


@pytest.fixture
def libexec(tmp_path: Path) -> Path:
    """Xen 4.20's directory, with its daemon."""
    path = tmp_path / "usr" / "lib" / "xen-4.20" / "bin"
    path.mkdir(parents=True)
    (path / "xen-9pfsd").write_text("theirs")
    return path
