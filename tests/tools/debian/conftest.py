"""The package, built once for all tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tools.debian.package import SOURCE, Package

_NEEDED = {"dh": "debhelper", "dh_python3": "dh-python", "dpkg-buildpackage": "dpkg-dev"}


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """What ``make deb`` makes of this tree."""
    missing = [name for program, name in _NEEDED.items() if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {' '.join(missing)}: apt install {' '.join(missing)}")
    target = tmp_path_factory.mktemp("deb")
    subprocess.run(["sh", "tools/debian/build.sh", str(target)], cwd=SOURCE, check=True)
    (file,) = Path(target).glob("*.deb")
    return Package(file)
