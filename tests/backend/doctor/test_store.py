"""XenStore, that of the embedded hypervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.config import Config
from backend.doctor.finding import Verdict
from backend.doctor.store import CHECKS

if TYPE_CHECKING:
    from pathlib import Path

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from tests.backend.doctor.conftest import Ground, Look

connection = CHECKS["connection"]


def test_it_answers_and_is_left_as_it_was(
    hypervisor: EmbeddedHypervisor, platform: str, ground: Ground, look: Look
) -> None:
    found = look(connection, ground.machine(Config(platform=platform)))
    assert found == [
        (Verdict.OK, "it answers, and knows us as domain 0"),
        (Verdict.OK, "it lets us write nodes of devices"),
    ]
    store = hypervisor.platform().store()
    assert "xen_9pfs-doctor" not in store.list("/local/domain/0")
    store.close()


def test_nobody_is_there(ground: Ground, look: Look, place: Path) -> None:
    ((verdict, what),) = look(connection, ground.machine(Config(platform=f"embedded:{place}")))
    assert verdict is Verdict.PROBLEM
    assert str(place) in what
