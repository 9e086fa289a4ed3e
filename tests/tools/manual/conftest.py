"""What ``python3 -m tools.manual`` writes, once for all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the pages and scripts."""
    target = tmp_path_factory.mktemp("manual")
    subprocess.run(
        [sys.executable, "-m", "tools.manual", str(target)],
        cwd=SOURCE,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1000000000"},
        check=True,
    )
    return target
