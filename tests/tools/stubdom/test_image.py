"""The reference stub domain's image."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.linux_guest.kernels import Kernel
from tools.linux_guest.newc import Archive
from tools.stubdom import image

GUEST = Path(image.__file__).parent / "guest"


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_the_first_process_is_a_posix_shell_s_script() -> None:
    subprocess.run(["shellcheck", "--shell=sh", str(GUEST / "init")], check=True)


@pytest.mark.skipif(not shutil.which("cpio"), reason="cpio is not installed")
def test_ours_lies_over_the_root_and_privcmd_is_loaded_first(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "modules.builtin").write_text("")
    for name in image.MODULES:
        (modules / f"{name}.ko").write_bytes(b"\0depends=\0")
    root = io.BytesIO()
    with Archive(root) as archive:
        archive.add("init", 0o100755, b"the root's own")
    base = tmp_path / "root.cpio.gz"
    base.write_bytes(gzip.compress(root.getvalue()))
    target = tmp_path / "initramfs"
    image.write_initramfs(target, Kernel("6.1.0", tmp_path / "vmlinuz", modules), base)
    inside = tmp_path / "inside"
    inside.mkdir()
    # As the kernel reads them: one compressed archive after the other.
    ours = gzip.decompress(target.read_bytes().removeprefix(base.read_bytes()))
    subprocess.run(["cpio", "-i", "--quiet"], input=ours, cwd=inside, check=True)
    assert os.readlink(inside / "init") == "/stubdom/init"
    assert os.access(inside / "stubdom/monitor", os.X_OK)
    loaded = sorted(path.name for path in (inside / "stubdom/modules").iterdir())
    assert loaded[0] == "00-xen_privcmd.ko"
    assert "xen_privcmd.ko" in (GUEST / "init").read_text()
