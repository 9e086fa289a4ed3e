"""A session on a directory, with its limits: what a worker and ``serve`` have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.exports import open_export
from backend.fileserver.limits import Limits, Slots
from backend.fileserver.session import Session
from backend.fileserver.tree import LocalTree

if TYPE_CHECKING:
    from collections.abc import Sequence


def open_session(
    path: str, allowed: Sequence[str], *, max_fids: int, max_open_files: int, max_msize: int
) -> Session:
    """Open the export in this process.  Raises ``ExportError``, ``OSError``."""
    limits = Limits(fids=Slots("fids", max_fids), open_files=Slots("open files", max_open_files))
    return Session(LocalTree(open_export(path, allowed)), limits, max_msize)
