"""What Dom0 and the guest see of files that are written under ``commit=atomic``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from backend.fileserver.unnamed import HIDDEN_PREFIX
from protocol.ninep.flags import DOTL_TRUNC, DOTL_WRONLY

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.ninep.ids import Fid
    from tests.backend.fileserver.client import Client


def hidden(export: Path) -> set[bytes]:
    return {name for name in map(os.fsencode, os.listdir(export)) if is_hidden(name)}


def is_hidden(name: bytes) -> bool:
    return name.startswith(HIDDEN_PREFIX)


def dom0(folder: Path) -> dict[str, bytes]:
    """What Dom0 has under names of files."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and not is_hidden(os.fsencode(path.name))
    }


def truncated(client: Client, name: bytes, how: str) -> Fid:
    """A fid of an existing file that is to be written anew."""
    if how == "Tlopen":
        return client.open(name, flags=DOTL_WRONLY | DOTL_TRUNC)
    if how == "Tlcreate":
        return client.create(name, DOTL_WRONLY | DOTL_TRUNC)
    fid = client.open(name, flags=DOTL_WRONLY)
    try:
        client.truncate(fid, 0)
    except OSError:
        client.clunk(fid)
        raise
    return fid


def content(client: Client, *names: bytes) -> bytes:
    fid = client.open(*names)
    try:
        return client.read(fid, 100)
    finally:
        client.clunk(fid)
