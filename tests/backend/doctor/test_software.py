"""Packages and libraries, those of this machine."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.config import Config
from backend.doctor import software
from backend.doctor.finding import Verdict
from backend.doctor.software import CHECKS, FLOORS

if TYPE_CHECKING:
    from tests.backend.doctor.conftest import Ground, Look

PROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"


def test_the_floors_are_the_projects() -> None:
    wanted = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    floors = dict(line.partition(",")[0].split(">=") for line in wanted)
    assert floors == FLOORS


def test_what_this_program_runs_on_is_good(ground: Ground, look: Look) -> None:
    machine = ground.machine()
    found = [*look(CHECKS["python"], machine), *look(CHECKS["python packages"], machine)]
    assert [what.split()[0] for _, what in found] == ["Python", *FLOORS]
    assert {verdict for verdict, _ in found} == {Verdict.OK}


@pytest.mark.parametrize(
    ("name", "floor", "verdict", "what"),
    [
        ("pyxs", "0.4", Verdict.OK, "pyxs "),
        ("pyxs", "99.1", Verdict.PROBLEM, "is older than 99.1"),
        ("no-such-package", "1", Verdict.PROBLEM, "no-such-package is not installed"),
    ],
)
def test_a_package_is_judged(name: str, floor: str, verdict: Verdict, what: str) -> None:
    finding = software.package(name, floor)
    assert finding.verdict is verdict
    assert what in finding.what


@pytest.mark.parametrize(
    ("version", "release"),
    [("1.15.1", (1, 15, 1)), ("1.16.0rc2", (1, 16, 0)), ("0.4.2.dev0", (0, 4, 2)), ("x", ())],
)
def test_a_version_is_compared_by_its_numbers(version: str, release: tuple[int, ...]) -> None:
    assert software.release(version) == release


def test_a_library_that_is_not_there() -> None:
    finding = software.library("nothing")
    assert finding.verdict is Verdict.PROBLEM
    assert finding.what == "libxennothing.so.1 cannot be loaded"
    assert finding.remedy == "on Debian, install it with: apt install libxennothing1"


def test_xens_libraries_are_xens(ground: Ground, look: Look) -> None:
    machine = ground.machine(Config(platform="embedded:/tmp/hv"))
    ((verdict, _),) = look(CHECKS["Xen's libraries"], machine)
    assert verdict is Verdict.NOT_HERE
    assert len(look(CHECKS["Xen's libraries"], ground.machine())) == 3
