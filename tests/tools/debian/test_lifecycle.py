"""The package comes, is upgraded and goes, in a fresh Debian 12 and a fresh Debian 13."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.tools.debian.package import Package

HERE: Final = Path(__file__).parent
ALONE: Final = "unshare --mount --pid --fork --kill-child --uts --ipc --cgroup"
"""Among no other processes, and with none left behind."""

CHROOT: Final = (
    f"""{ALONE} sh -c 'mount -t proc proc "$1/proc" && exec chroot "$1" sh /root/lifecycle.sh' """
    """sh "$1" """
)
BOOT: Final = (
    'chroot "$1" systemctl --quiet enable /root/lifecycle.service && '
    f'{{ timeout 900 {ALONE} sh {HERE}/boot.sh "$1"; cat "$1/root/lifecycle.log"; }}'
)

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="needs mmdebstrap: apt install it"),
    pytest.mark.skipif(os.geteuid() != 0, reason="boots systemd in namespaces: needs to be root"),
]


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


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
@pytest.mark.parametrize(
    ("more", "how"), [("", CHROOT), ("systemd,", BOOT)], ids=["bare", "systemd"]
)
def test_nothing_of_it_is_left(
    suite: str, more: str, how: str, package: Package, tmp_path: Path
) -> None:
    uploads = {
        package.file: "/root/package.deb",
        newer(package, tmp_path): "/root/newer.deb",
        HERE / "lifecycle.sh": "/root/lifecycle.sh",
        HERE / "lifecycle.service": "/root/lifecycle.service",
    }
    needed = re.sub(r" \([^)]*\)", "", package.field("Depends")).replace(" ", "")
    done = subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--variant=minbase", "--format=null"),
            *("--aptopt=Apt::Install-Recommends false", f"--include={more}{needed}"),
            *(f"--customize-hook=upload {file} {name}" for file, name in uploads.items()),
            f"--customize-hook={how}",
            *(suite, "/dev/null"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        errors="replace",
        text=True,
        check=False,
    )
    assert "lifecycle: purged: not a file is left" in done.stdout, done.stdout
