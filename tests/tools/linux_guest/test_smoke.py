"""The Linux kernel's own client mounts the share in both dialects, and a dozen operations work."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tools.linux_guest.errors import GuestError
from tools.linux_guest.initramfs import GUEST_FILES, write_initramfs
from tools.linux_guest.machine import Forward, Machine
from tools.linux_guest.mounts import CACHES, DIALECTS, By, mounts
from tools.linux_guest.server import Server

if TYPE_CHECKING:
    from pathlib import Path

    from tools.linux_guest.kernels import Kernel


@pytest.mark.slow
def test_both_dialects_in_every_cache_mode(kernel: Kernel, folder: Path, leak_free: None) -> None:
    write_initramfs(folder / "initramfs", kernel, None)
    export = folder / "export"
    export.mkdir()
    with (
        Server(export, folder / "9p", folder / "serve.log") as server,
        Machine(
            kernel, folder / "initramfs", folder, [Forward(5640, server.socket)], memory=512
        ) as guest,
    ):
        assert guest.release == kernel.release
        for mount in mounts((By.US,), DIALECTS, CACHES):
            (export / mount.name).mkdir()
            job = guest.run(
                f"set -e; {mount.command('5640', '/mnt')}\n"
                f"(cd /mnt/{mount.name} && sh -x /guest/workloads/smoke.sh)\n"
                "umount /mnt\n"
            )
            assert job.status == 0, f"{mount.title}: {job.output}"
            left = (export / mount.name / "left-behind").read_text()
            assert left == "".join(f"{number}\n" for number in range(1, 1001))
            assert [path.name for path in (export / mount.name).iterdir()] == ["left-behind"]
        guest._process.kill()
        guest._process.wait()
        with pytest.raises(GuestError, match="has ended"):
            guest.run("true")
    assert "Traceback" not in server.log.read_text()


@pytest.mark.skipif(
    shutil.which("shellcheck") is None, reason="needs shellcheck: apt install shellcheck"
)
def test_shellcheck() -> None:
    scripts = [GUEST_FILES / "init", *(GUEST_FILES / "workloads").glob("*.sh")]
    subprocess.run(["shellcheck", "--shell=sh", *map(str, scripts)], check=True)
