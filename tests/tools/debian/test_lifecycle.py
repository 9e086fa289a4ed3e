"""The package comes, is upgraded and goes, in a fresh Debian 12 and a fresh Debian 13."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.tools.debian.package import Package

SCRIPT: Final = Path(__file__).with_name("lifecycle.sh")
_RUN: Final = (
    "unshare --mount --pid --fork --kill-child sh -c "
    """'mount -t proc proc "$1/proc" && exec chroot "$1" sh /root/lifecycle.sh' sh "$1" """
)
"""Among no other processes, and with none left behind."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def newer(package: Package, target: Path) -> Path:
    """The same package with a higher version."""
    tree, file = target / "tree", target / "newer.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package.file), str(tree)], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub("(?m)^Version: .*", r"\g<0>+1", control.read_text()))
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(file)],
        check=True,
        capture_output=True,
    )
    return file


@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="needs mmdebstrap: apt install it")
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_nothing_of_it_is_left(suite: str, package: Package, tmp_path: Path) -> None:
    files = {
        "package.deb": package.file,
        "newer.deb": newer(package, tmp_path),
        "lifecycle.sh": SCRIPT,
    }
    needed = re.sub(r" \([^)]*\)", "", package.field("Depends")).replace(" ", "")
    done = subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--variant=minbase", "--format=null"),
            *("--aptopt=Apt::Install-Recommends false", f"--include={needed}"),
            *(f"--customize-hook=upload {file} /root/{name}" for name, file in files.items()),
            f"--customize-hook={_RUN}",
            *(suite, "/dev/null"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lifecycle: purged: not a file is left" in done.stdout + done.stderr
