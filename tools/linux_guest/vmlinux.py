"""What a bzImage has inside: the kernel itself, an ELF file.

Xen and its domain builder take either, and unpack a bzImage by themselves; but to undo xz takes an
emulated processor twelve seconds for each guest.

Source: Linux ``Documentation/arch/x86/boot.rst`` (fields ``setup_sects``, ``header``, ``version``,
``payload_offset``, ``payload_length``).
"""

from __future__ import annotations

import lzma
import struct
import subprocess
from typing import TYPE_CHECKING, Final

from tools.linux_guest.errors import GuestError

if TYPE_CHECKING:
    from pathlib import Path

_SETUP_SECTS: Final = 0x1F1
_HEADER: Final = 0x202
_PAYLOAD: Final = 0x248
_SECTOR: Final = 512
_VERSION: Final = 0x208
"""Of the boot protocol, from which on the payload is described."""
_XZ: Final = b"\xfd7zXZ\0"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_SIZE: Final = 4
"""Bytes behind what is compressed: how long it was."""


def vmlinux(image: Path) -> bytes:
    """The kernel that ``image`` has packed.  Raises ``GuestError``."""
    data = image.read_bytes()
    try:
        magic, version = struct.unpack_from("<4sH", data, _HEADER)
        offset, length = struct.unpack_from("<II", data, _PAYLOAD)
    except struct.error:
        magic = b""
    if magic != b"HdrS" or version < _VERSION:
        raise GuestError(f"{image} is no bzImage")
    start = ((data[_SETUP_SECTS] or 4) + 1) * _SECTOR + offset
    kernel = _unpacked(data[start : start + length - _SIZE])
    if not kernel.startswith(b"\x7fELF"):
        raise GuestError(f"{image} has something else than a kernel packed by xz or zstd")
    return kernel


def _unpacked(payload: bytes) -> bytes:
    if payload.startswith(_XZ):
        try:
            return lzma.decompress(payload)
        except lzma.LZMAError as error:
            raise GuestError(f"a kernel that cannot be unpacked: {error}") from None
    if payload.startswith(_ZSTD):
        done = subprocess.run(["zstd", "-dc"], input=payload, capture_output=True, check=False)
        if done.returncode:
            raise GuestError(f"zstd: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout
    return b""
