"""Opens the directory that a device exports, and says why when it may not or cannot be."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_SEARCH: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class ExportError(Exception):
    """The directory cannot be exported; the text names it and says what to do."""


def open_export(path: str, allowed: Sequence[str] = ()) -> int:
    """An ``O_PATH`` descriptor of the directory ``path``, which may be a symbolic link to one.

    With ``allowed``, what was opened must be one of these directories or lie below one.  It is
    the opened directory that is asked for its name, not the path: a link that changes in between
    leads nowhere else.  Raises ``ExportError``.  May wait as long as the file system does.
    """
    if not path.startswith("/") or "\0" in path:
        raise ExportError(f'path is "{path}"; it must be absolute')
    try:
        root = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise ExportError(f"path {path}: {error.strerror}") from error
    try:
        if not stat.S_ISDIR(os.fstat(root).st_mode):
            raise ExportError(f"path {path}: Not a directory")
        # Only real permission to read and search counts; the mode alone does not tell it.
        if not os.access(f"/proc/self/fd/{root}", os.R_OK | os.X_OK, effective_ids=True):
            raise ExportError(f"path {path}: not readable by user {os.geteuid()}")
        if allowed:
            _check_allowed(path, os.readlink(f"/proc/self/fd/{root}"), allowed)
    except BaseException:
        os.close(root)
        raise
    return root


def check_export(path: str, allowed: Sequence[str] = ()) -> str | None:
    """Why ``path`` cannot be exported now, or ``None``."""
    try:
        os.close(open_export(path, allowed))
    except ExportError as error:
        return str(error)
    return None


def _check_allowed(path: str, real: str, allowed: Sequence[str]) -> None:
    for directory in map(os.path.realpath, allowed):
        if real == directory or real.startswith(directory.rstrip("/") + "/"):
            return
    raise ExportError(
        f"path {path}: lies at {real}, which is not below an entry of allowed-exports"
    )
