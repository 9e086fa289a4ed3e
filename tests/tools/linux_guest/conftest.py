"""A kernel to boot, and a folder with a short name."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools.linux_guest.initramfs import BUSYBOX
from tools.linux_guest.kernels import PACKAGE, installed_kernel
from tools.linux_guest.machine import QEMU
from tools.linux_guest.programs import PACKAGE_OF

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.linux_guest.kernels import Kernel


@pytest.fixture
def kernel() -> Kernel:
    if not shutil.which(QEMU):
        pytest.skip(f"{QEMU} is not installed (apt install {PACKAGE_OF[QEMU]})")
    if not BUSYBOX.exists():
        pytest.skip("busybox is not installed (apt install busybox-static)")
    found = installed_kernel()
    if found is None:
        pytest.skip(f"no Debian kernel is installed (apt install {PACKAGE})")
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short name: unix sockets in it have 107 bytes for their path."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
