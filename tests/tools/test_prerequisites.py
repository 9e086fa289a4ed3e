"""One clear line for a missing prerequisite, with the command that installs it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = (
    ROOT / "tools" / "prerequisites.sh",
    ROOT / "tools" / "debian" / "build.sh",
    ROOT / ".ci" / "run",
)


def check(python: Path | str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(SCRIPTS[0]), str(python)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def stand_in(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_this_python_will_do() -> None:
    done = check(sys.executable)
    assert (done.returncode, done.stderr) == (0, "")


def test_python_is_missing(tmp_path: Path) -> None:
    done = check(tmp_path / "python3")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "sudo apt install python3 python3-venv" in done.stderr


def test_python_is_too_old(tmp_path: Path) -> None:
    old = stand_in(
        tmp_path / "python3", '[ "$1" = --version ] && echo "Python 3.9.2" && exit; exit 1'
    )
    done = check(old)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Python 3.9.2 is too old, 3.11 or newer is needed" in done.stderr


def test_venv_is_missing(tmp_path: Path) -> None:
    bare = stand_in(tmp_path / "python3", 'case "$2" in *ensurepip*) exit 1 ;; esac')
    done = check(bare)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "sudo apt install python3-venv" in done.stderr


@pytest.mark.skipif(
    shutil.which("shellcheck") is None, reason="needs shellcheck: apt install shellcheck"
)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_the_shell_scripts_are_clean(script: Path) -> None:
    subprocess.run(["shellcheck", str(script)], check=True)
