"""What ``xl save`` has put into its file: of QEMU, byte for byte what libxl has read.

The layouts are those of Xen's ``tools/xl/xl.h`` (``save_file_header``) and of its
``docs/specs/libxl-migration-stream.pandoc`` and ``libxc-migration-stream.pandoc``.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from pathlib import Path

_XL_MAGIC: Final = b"Xen saved domain, xl format\n \0 \r"
_XL_HEADER: Final = struct.Struct("<32s4I")
_LIBXL_HEADER: Final = struct.Struct(">8s2I")
_LIBXC_HEADERS: Final = 24 + 16
"""The image header's and the domain header's bytes."""
_RECORD: Final = struct.Struct("<2I")
"""Type and length; the body follows, padded to 8 bytes."""
_LIBXL_END, _LIBXC_CONTEXT, _EMULATOR_CONTEXT = 0, 1, 3
_LIBXC_END: Final = 0
_EMULATOR_HEADER: Final = 8
"""Which emulator, and a number of it."""


def device_model_state(image: Path) -> bytes:
    """QEMU's state in a file of ``xl save``.  Raises ``ValueError``."""
    with image.open("rb") as stream:
        magic, _order, _mandatory, _optional, more = _XL_HEADER.unpack(stream.read(_XL_HEADER.size))
        if magic != _XL_MAGIC:
            raise ValueError(f"{image}: not a file of xl save")
        stream.seek(more, os.SEEK_CUR)
        name, _version, _options = _LIBXL_HEADER.unpack(stream.read(_LIBXL_HEADER.size))
        if name != b"LibxlFmt":
            raise ValueError(f"{image}: no libxl stream")
        while True:
            kind, body = _record(stream, _EMULATOR_CONTEXT)
            if kind == _EMULATOR_CONTEXT:
                return body[_EMULATOR_HEADER:]
            if kind == _LIBXC_CONTEXT:
                stream.seek(_LIBXC_HEADERS, os.SEEK_CUR)
                while _record(stream)[0] != _LIBXC_END:
                    pass
            elif kind == _LIBXL_END:
                raise ValueError(f"{image}: no state of a device model")


def _record(stream: BinaryIO, wanted: int | None = None) -> tuple[int, bytes]:
    """The next record; its body only where it is of the kind that is wanted."""
    kind, length = _RECORD.unpack(stream.read(_RECORD.size))
    padded = (length + 7) & ~7
    if kind == wanted:
        return kind, stream.read(padded)[:length]
    stream.seek(padded, os.SEEK_CUR)
    return kind, b""
