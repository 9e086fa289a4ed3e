"""Whose program libxl starts, and who serves already."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backend.doctor.finding import Verdict
from backend.doctor.machine import Machine
from backend.doctor.toolstack import CHECKS
from backend.hook.places import INSTALLED, launcher
from tests.backend.hook.programs import daemon

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backend.doctor.conftest import Ground, Look

PLACE = "/usr/lib/xen-4.20/bin/xen-9pfsd"


def test_no_libxl(ground: Ground, look: Look) -> None:
    ((verdict, _),) = look(CHECKS["libxl"], ground.machine())
    assert verdict is Verdict.NOT_HERE


def test_a_libxl_that_starts_nobody(ground: Ground, look: Look) -> None:
    ground("/usr/lib/xen-4.17/bin/xl")
    ((verdict, what),) = look(CHECKS["libxl"], ground.machine())
    assert verdict is Verdict.NOT_HERE
    assert "before Xen 4.19" in what


def test_theirs(ground: Ground, look: Look) -> None:
    path = ground(PLACE)
    ((verdict, what),) = look(CHECKS["libxl"], ground.machine())
    assert (verdict, what.startswith(f"{path} is Xen's own")) == (Verdict.WARNING, True)
    path.unlink()
    ((verdict, what),) = look(CHECKS["libxl"], ground.machine())
    assert (verdict, what.startswith(f"{path} is not there")) == (Verdict.WARNING, True)


@pytest.mark.parametrize(
    ("target", "verdict", "says"),
    [
        (launcher(), Verdict.OK, "libxl starts this program"),
        pytest.param(
            INSTALLED,
            Verdict.PROBLEM,
            "a program that is not there",
            marks=pytest.mark.skipif(os.path.exists(INSTALLED), reason="it is installed here"),
        ),
    ],
)
def test_ours(ground: Ground, look: Look, target: str, verdict: Verdict, says: str) -> None:
    path = ground(PLACE)
    path.unlink()
    path.symlink_to(target)
    ((found, what),) = look(CHECKS["libxl"], ground.machine())
    assert found is verdict
    assert says in what


def test_xens_daemon_is_seen(place: Path, look: Look) -> None:
    with daemon(place) as process:
        found = look(CHECKS["other backends"], Machine())
        expected = f"xen-9pfsd (process {process.pid}) serves 9pfs devices: two cannot"
        assert (Verdict.PROBLEM, expected) in found


def test_nobody_else_serves(ground: Ground, look: Look) -> None:
    ground.machine().path("/proc/1").mkdir(parents=True)
    found = look(CHECKS["other backends"], ground.machine())
    assert found == [(Verdict.OK, "no xen-9pfsd runs")]
