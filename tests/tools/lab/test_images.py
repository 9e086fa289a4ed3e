from __future__ import annotations

import io
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tools.lab import images
from tools.linux_guest.newc import Archive

if TYPE_CHECKING:
    from pathlib import Path

needs_cpio = pytest.mark.skipif(not shutil.which("cpio"), reason="cpio is not installed")


@needs_cpio
def test_the_program_is_installed_so_that_its_launchers_find_it(tmp_path: Path) -> None:
    out = io.BytesIO()
    with Archive(out) as archive:
        for folder in ("usr", "usr/bin", "usr/lib"):
            archive.add(folder, 0o040755)
        images._add_program(archive)
    subprocess.run(["cpio", "-i", "--quiet"], input=out.getvalue(), cwd=tmp_path, check=True)
    launcher = (tmp_path / "usr/bin/xen-fileproxy").read_text()
    assert launcher.startswith("#!/usr/bin/python3 -I\n")
    assert '"/usr/lib/xen-fileproxy"' in launcher
    assert (tmp_path / "usr/lib/xen-fileproxy/backend/confinement/system-calls.txt").is_file()
    assert not list(tmp_path.rglob("__pycache__"))


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("where", ["dom0", "guest"])
def test_the_first_processes_are_clean_shell(where: str) -> None:
    subprocess.run(["shellcheck", str(images.HERE / where / "init")], check=True)
