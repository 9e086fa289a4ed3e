"""A hypervisor with a guest, 4, and the domain 5 that is to be its stub domain."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from backend.platform import open_platform
from tests.backend.supervisor.conftest import hypervisor, place, platform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from protocol.xenpv.ports import Store

__all__ = ["hypervisor", "place", "platform", "store"]


@pytest.fixture
def store(hypervisor: EmbeddedHypervisor, platform: str) -> Iterator[Store]:
    for domid in (4, 5):
        hypervisor.create_domain(domid)
    with contextlib.closing(open_platform(platform).store()) as store:
        yield store
