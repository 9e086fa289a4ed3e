from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.lab import images
from tools.linux_guest.newc import Archive

needs_cpio = pytest.mark.skipif(not shutil.which("cpio"), reason="cpio is not installed")


SCRIPTS = ["dom0/init", "dom0/init-systemd", "dom0/jobs", "guest/init"]


def unpacked(archive: bytes, target: Path) -> Path:
    subprocess.run(["cpio", "-i", "--quiet"], input=archive, cwd=target, check=True)
    return target


@needs_cpio
def test_a_guest_has_the_program_where_the_launchers_look_and_beside_the_tests(
    tmp_path: Path,
) -> None:
    out = io.BytesIO()
    with Archive(out) as archive:
        for folder in ("usr", "usr/bin", "usr/lib"):
            archive.add(folder, 0o040755)
        images._add_program(archive)
        images._add_source(archive, ["tests/lab"])
    root = unpacked(out.getvalue(), tmp_path)
    launcher = (root / "usr/bin/xen-fileproxy").read_text()
    assert launcher.startswith("#!/usr/bin/python3 -I")
    assert '"/usr/lib/xen-fileproxy"' in launcher
    assert (root / "usr/lib/xen-fileproxy/backend/confinement/system-calls.txt").is_file()
    assert not list(root.rglob("__pycache__"))
    assert (root / "lab/source/backend").readlink() == Path("/usr/lib/xen-fileproxy/backend")
    assert (root / "lab/source/tests/lab/guests.py").is_file()


@needs_cpio
def test_dom0_runs_what_the_host_sends_when_all_else_is_up(tmp_path: Path) -> None:
    out = io.BytesIO()
    with Archive(out) as archive:
        for folder in ("lab", "etc", "etc/systemd", images._UNITS):
            archive.add(folder, 0o040755)
        archive.add(f"{images._UNITS}/multi-user.target.wants", 0o040755)
        images._add_jobs(archive)
    root = unpacked(out.getvalue(), tmp_path)
    units = root / images._UNITS
    assert (units / "multi-user.target.wants/lab.service").read_bytes()
    assert (units / "xen-fileproxy.service.d/lab.conf").is_file()
    assert os.access(root / "lab/jobs", os.X_OK)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_clean_shell(script: str) -> None:
    subprocess.run(["shellcheck", str(images.HERE / script)], check=True)
