"""A libexec directory as Xen's package has it, and a hypervisor with its supervisor."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from backend.platform import open_platform
from tests.backend.supervisor.conftest import export, hypervisor, place, platform, supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from protocol.xenpv.ports import Store

__all__ = ["export", "hypervisor", "libexec", "place", "platform", "store", "supervisor"]


@pytest.fixture
def libexec(tmp_path: Path) -> Path:
    """Xen 4.20's directory, with its daemon."""
    path = tmp_path / "usr" / "lib" / "xen-4.20" / "bin"
    path.mkdir(parents=True)
    (path / "xen-9pfsd").write_text("theirs")
    return path


@pytest.fixture
def store(hypervisor: EmbeddedHypervisor, platform: str) -> Iterator[Store]:
    """Dom0's XenStore, with domain 5 in it."""
    hypervisor.create_domain(5)
    with contextlib.closing(open_platform(platform).store()) as store:
        yield store
