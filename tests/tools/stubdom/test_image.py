"""The reference stub domain's image."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.linux_guest.kernels import Kernel
from tools.stubdom import image

GUEST = Path(image.__file__).parent / "guest"


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_the_first_process_is_a_posix_shell_s_script() -> None:
    subprocess.run(["shellcheck", "--shell=sh", str(GUEST / "init")], check=True)


@pytest.mark.skipif(not shutil.which("cpio"), reason="cpio is not installed")
def test_ours_comes_first_and_the_share_s_modules_before_others(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "modules.builtin").write_text("")
    for name in image.MODULES:
        (modules / f"{name}.ko").write_bytes(b"\0depends=\0")
    root = tmp_path / "root.cpio.zst"
    root.write_bytes(b"the root, compressed")
    target = tmp_path / "initramfs"
    image.write_initramfs(target, Kernel("6.1.0", tmp_path / "vmlinuz", modules), root)
    ours = target.read_bytes().removesuffix(root.read_bytes())
    # The kernel looks for the next archive at multiples of 4, and skips zeros.
    assert len(ours) % 4 == 0
    inside = tmp_path / "inside"
    inside.mkdir()
    subprocess.run(["cpio", "-i", "--quiet"], input=ours, cwd=inside, check=True)
    assert os.readlink(inside / "init") == "/stubdom/init"
    assert os.access(inside / "stubdom/monitor", os.X_OK)
    loaded = sorted(path.name for path in (inside / "stubdom/modules").iterdir())
    assert loaded[:2] == ["00-9p.ko", "01-9pnet_xen.ko"]
    assert "xen_privcmd.ko" in (GUEST / "init").read_text()


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("./usr/bin/python3.11", True),
        ("./usr/lib/x86_64-linux-gnu/libglib-2.0.so.0", True),
        ("./usr/share/seabios/vgabios-stdvga.bin", True),
        ("./usr/lib/x86_64-linux-gnu/perl/5.36.0/CORE/perl.h", False),
        ("./usr/bin/perl", False),
        ("./var/lib/dpkg/status", False),
    ],
)
def test_what_no_stub_domain_needs_is_left_out(name: str, needed: bool) -> None:
    assert image._is_needed(name) is needed
