"""tools/generate_codec.py: the files in the tree are what it writes, and it notices when not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def generate(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the tool of the tree ``root``, unmeasured: a copied tree is not in the coverage."""
    environment = {name: value for name, value in os.environ.items() if "COV" not in name}
    return subprocess.run(
        [sys.executable, root / "tools" / "generate_codec.py", *arguments],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "protocol", tmp_path / "protocol", ignore=ignore)
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=ignore)
    return tmp_path


def test_the_files_in_the_tree_are_fresh() -> None:
    done = generate(ROOT, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_changed_schema_is_noticed_named_and_put_right(copy: Path) -> None:
    schema = copy / "protocol" / "ninep" / "schema.py"
    text = schema.read_text()
    assert '"iounit" / U32' in text
    schema.write_text(text.replace('"iounit" / U32', '"iounit" / U64', 1))

    done = generate(copy, "--check")
    assert done.returncode == 1
    assert done.stdout == (
        "stale: protocol/ninep/wire.py; the schema has changed: "
        "run `python tools/generate_codec.py`\n"
    )
    assert generate(copy).stdout == "written: protocol/ninep/wire.py\n"
    assert generate(copy, "--check").returncode == 0


def test_missing_files_are_written(copy: Path) -> None:
    names = ["messages.py", "wire.py"]
    for name in names:
        (copy / "protocol" / "ninep" / name).unlink()
    done = generate(copy)
    assert (done.returncode, done.stderr) == (0, "")
    for name in names:
        original = ROOT / "protocol" / "ninep" / name
        assert (copy / "protocol" / "ninep" / name).read_text() == original.read_text()
