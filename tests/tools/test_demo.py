"""``make demo`` tells the same story with QEMU and without, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short name: unix sockets in it have 107 bytes for their path."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def demo(folder: Path, path: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "demo.py")],
        env={**os.environ, "PATH": path, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("demo: ok\n")
    assert list(folder.iterdir()) == []
    digests = [line.split()[-1] for line in done.stdout.splitlines() if "SHA-256" in line]
    assert len(digests) == 3
    assert len(set(digests)) == 1
    return done.stdout


def test_without_qemu_a_generated_file_is_sent(folder: Path) -> None:
    told = demo(folder, "/nonexistent")
    assert "qemu-system-x86_64 is not installed" in told
    assert f"{64 << 20:,} bytes" in told


@pytest.mark.skipif(
    shutil.which("qemu-system-x86_64") is None,
    reason="needs QEMU: apt install qemu-system-x86",
)
def test_a_real_qemu_saves_and_another_resumes(folder: Path) -> None:
    told = demo(folder, os.environ["PATH"])
    assert "first QEMU: query-migrate says completed" in told
    assert "second QEMU: query-migrate says completed, query-status prelaunch" in told
