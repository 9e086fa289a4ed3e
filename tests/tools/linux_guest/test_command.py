"""``make interop`` says what it can run, what is wrong, and what is missing, in a line each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.linux_guest import programs
from tools.linux_guest.errors import GuestError

ROOT = Path(__file__).resolve().parent.parent.parent.parent


def interop(*arguments: str, path: str | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tools.linux_guest", *arguments],
        cwd=ROOT,
        env={**os.environ, **({} if path is None else {"PATH": path})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_workloads_are_listed() -> None:
    status, names, errors = interop("--list")
    assert (status, errors) == (0, "")
    assert {"fio", "git", "stress-rename"} <= set(names.split())


def test_an_unknown_workload_is_named() -> None:
    status, _, errors = interop("--only", "bonnie")
    assert status == 1
    assert errors.startswith("interop: no workload bonnie; there are: stress ")


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    status, _, errors = interop(path=str(tmp_path))
    assert status == 1
    assert errors == (
        "interop: missing: qemu-system-x86; install with: sudo apt install qemu-system-x86\n"
    )


def test_all_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GuestError, match="apt install qemu-system-x86 mmdebstrap"):
        programs.require("qemu-system-x86_64", "mmdebstrap")


def test_a_program_that_fails_is_quoted() -> None:
    with pytest.raises(GuestError, match=r"sh failed with status 3:\nno such suite"):
        programs.run("sh", "-c", "echo no such suite >&2; exit 3")
