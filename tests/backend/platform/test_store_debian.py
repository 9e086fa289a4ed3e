"""The adapter with Debian's Python and pyxs, which is another version than PyPI's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.backend.platform.conftest import Daemon

PYTHON = "/usr/bin/python3"
ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import sys
import pyxs
from backend.platform.store import connect_store

store = connect_store(sys.argv[1])
store.write("/a/b", b"")
assert store.read("/a/b") == b""
store.write("/a/b", b"\\xff\\0")
assert store.transact(lambda view: view.read("/a/b")) == b"\\xff\\0"
assert store.list("/a") == ["b"]
store.set_permissions("/a", ["n5", "r0"])
assert store.get_permissions("/a") == ["n5", "r0"]
store.watch("/a", "t")
try:
    store.read("/none")
except FileNotFoundError:
    print("passed with", pyxs.__file__)
store.close()
"""


def test_with_debians_pyxs(daemon: Daemon) -> None:
    found = subprocess.run(
        [PYTHON, "-I", "-c", "import pyxs, sys; sys.exit(sys.version_info < (3, 11))"],
        capture_output=True,
        check=False,
        timeout=20,
    )
    if found.returncode:
        pytest.skip("python3-pyxs is not installed for a Python 3.11 or later")
    done = subprocess.run(
        [PYTHON, "-c", PROGRAM, daemon.path()],
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert "/usr/lib/python3/" in done.stdout, done.stderr
