"""``commit=atomic`` as the Linux kernel's client and the programs above it meet it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tools.linux_guest.initramfs import write_initramfs
from tools.linux_guest.machine import Forward, Machine
from tools.linux_guest.mounts import DIALECTS, By, Mount, mounts
from tools.linux_guest.server import Server

if TYPE_CHECKING:
    from pathlib import Path

    from tools.linux_guest.kernels import Kernel

PORTS = ("5640", "5641")
DOM0 = Mount(By.US, DIALECTS[0], "none")
"""Each connection is served by a process of its own, so a second one sees what Dom0 sees."""


@pytest.mark.slow
def test_files_appear_whole(kernel: Kernel, folder: Path, leak_free: None) -> None:
    write_initramfs(folder / "initramfs", kernel, None)
    export = folder / "export"
    export.mkdir()
    options = ["--commit", "atomic", "--fsync-on-close"]
    with (
        Server(export, folder / "9p", folder / "serve.log", options) as server,
        Machine(
            kernel,
            folder / "initramfs",
            folder,
            [Forward(int(port), server.socket) for port in PORTS],
            memory=512,
        ) as guest,
    ):
        # With cache=loose Linux keeps a fid of its own open when the program has closed the file.
        for mount in mounts((By.US,), DIALECTS, ("none",)):
            (export / mount.name).mkdir()
            job = guest.run(
                f"set -e; mkdir -p /mine /theirs; {mount.command(PORTS[0], '/mine')}\n"
                f"{DOM0.command(PORTS[1], '/theirs')}\n"
                "sh -x /guest/workloads/atomic.sh "
                f"/mine/{mount.name} /theirs/{mount.name}\n"
                "umount /mine /theirs\n"
            )
            assert job.status == 0, f"{mount.title}: {job.output}"
    assert "Traceback" not in server.log.read_text()
