"""A run of tests that may take only so long says what it has left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def run(minutes: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.lab.minutes"]
    done = subprocess.run(
        [*command, f"--minutes={minutes}", "-rs", "tests/test_import_rules.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_no_test_is_begun_when_the_time_is_over() -> None:
    said = run("0")
    assert "passed" not in said
    assert "the 0 minutes are over in which this run begins tests" in said


def test_all_are_begun_before() -> None:
    assert "skipped" not in run("60")
