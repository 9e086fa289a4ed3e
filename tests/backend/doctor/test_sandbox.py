"""The walls, as a child meets them here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backend.config import Config, Confinement
from backend.confinement.walls import HOLDS, LANDLOCK, LIMITS, PRIVILEGES, WALLS
from backend.doctor import sandbox
from backend.doctor.finding import Verdict

if TYPE_CHECKING:
    from tests.backend.doctor.conftest import Ground, Look

walls = sandbox.CHECKS["walls"]


def test_a_child_tries_them_all(ground: Ground, look: Look, leak_free: None) -> None:
    found = look(walls, ground.machine())
    assert [what.partition(":")[0] for _, what in found] == list(WALLS)
    held = {what.partition(":")[0] for verdict, what in found if verdict is Verdict.OK}
    assert {PRIVILEGES, LIMITS} <= held
    assert os.path.realpath("/proc/self/root") == "/"


def test_a_sandbox_that_is_off_is_said(ground: Ground, look: Look) -> None:
    off = Config(confinement=Confinement(sandbox=False))
    found = look(walls, ground.machine(off))
    assert found[0][0] is Verdict.WARNING
    assert found[0][1].startswith("it is off")
    assert len(found) == 1 + len(WALLS)


@pytest.mark.parametrize(
    ("why", "required", "verdict"),
    [
        (HOLDS, True, Verdict.OK),
        ("the kernel has no Landlock", False, Verdict.WARNING),
        ("the kernel has no Landlock", True, Verdict.PROBLEM),
    ],
)
def test_a_wall_is_judged(why: str, required: bool, verdict: Verdict) -> None:
    finding = sandbox.judged(LANDLOCK, why, required=required)
    assert finding.verdict is verdict
    assert why in finding.what
    assert bool(finding.remedy) == (verdict is not Verdict.OK)
