"""The kernel inside a bzImage."""

from __future__ import annotations

import lzma
import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from tools.linux_guest.errors import GuestError
from tools.linux_guest.vmlinux import vmlinux

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = b"\x7fELF" + bytes(range(256)) * 50


def image(path: Path, payload: bytes) -> Path:
    """A bzImage of three sectors before what is packed, which lies 100 bytes on."""
    setup = bytearray(3 * 512 + 100)
    setup[0x1F1] = 2
    struct.pack_into("<4sH", setup, 0x202, b"HdrS", 0x20F)
    struct.pack_into("<II", setup, 0x248, 100, len(payload) + 4)
    path.write_bytes(setup + payload + struct.pack("<I", len(KERNEL)) + b"signature")
    return path


def test_xz(tmp_path: Path) -> None:
    assert vmlinux(image(tmp_path / "linux", lzma.compress(KERNEL))) == KERNEL


def test_zstd(tmp_path: Path) -> None:
    if not shutil.which("zstd"):
        pytest.skip("zstd is not installed: apt install zstd")
    packed = subprocess.run(["zstd", "-c"], input=KERNEL, capture_output=True, check=True).stdout
    assert vmlinux(image(tmp_path / "linux", packed)) == KERNEL


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"\x1f\x8b something", "something else than a kernel packed by xz or zstd"),
        (lzma.compress(b"no kernel"), "something else than a kernel packed by xz or zstd"),
        (lzma.compress(KERNEL)[:-20], "cannot be unpacked"),
    ],
)
def test_what_has_no_kernel_is_named(tmp_path: Path, payload: bytes, why: str) -> None:
    with pytest.raises(GuestError, match=why):
        vmlinux(image(tmp_path / "linux", payload))


@pytest.mark.parametrize("content", [b"", KERNEL, bytes(1000)])
def test_no_bzimage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "linux").write_bytes(content)
    with pytest.raises(GuestError, match="linux is no bzImage"):
        vmlinux(tmp_path / "linux")
