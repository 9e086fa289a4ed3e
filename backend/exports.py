"""Opens the directory that a device exports, and says why when it may not or cannot be."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from backend.fileserver.policies import virtfs
from backend.fileserver.root import open_root
from backend.share import SecurityModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.share import Share


class ExportError(Exception):
    """The directory cannot be exported; the text names it and says why."""


def open_export(
    path: str, allowed: Sequence[str] = (), model: SecurityModel = SecurityModel.NONE
) -> int:
    """An ``O_PATH`` descriptor of the directory ``path``, which may be a symbolic link to one.

    With ``allowed``, what was opened must be one of these directories or lie below one.  It is
    the opened directory that is asked for its name, not the path: a link that changes in between
    leads nowhere else.  With ``MAPPED_XATTR`` its file system must keep user attributes.

    Raises ``ExportError``.  May wait as long as the file system does.
    """
    if not path.startswith("/"):
        raise ExportError(f'export path "{path}": it must be absolute')
    try:
        root = open_root(path)
    except OSError as error:
        raise ExportError(error.strerror) from error
    try:
        if allowed:
            _check_allowed(path, os.readlink(f"/proc/self/fd/{root}"), allowed)
        if model is SecurityModel.MAPPED_XATTR:
            _check_attributes(path, root)
    except BaseException:
        os.close(root)
        raise
    return root


def check_share(share: Share, allowed: Sequence[str] = ()) -> str | None:
    """Why ``share`` cannot be served now, or ``None``.

    Of a named file, it is the directory that counts: the file itself may come later.
    """
    directories = [os.path.dirname(file.path) for file in share.files] or [share.path]
    try:
        for directory in directories:
            os.close(open_export(directory, allowed, share.security_model))
    except ExportError as error:
        return str(error)
    return None


def _check_allowed(path: str, real: str, allowed: Sequence[str]) -> None:
    for directory in map(os.path.realpath, allowed):
        if real == directory or real.startswith(directory.rstrip("/") + "/"):
            return
    raise ExportError(
        f"export path {path}: lies at {real}, which is not below an entry of allowed-exports"
    )


def _check_attributes(path: str, root: int) -> None:
    try:
        os.getxattr(f"/proc/self/fd/{root}", virtfs.MODE.name)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return
        raise ExportError(
            f"export path {path}: security_model mapped-xattr needs a file system with user "
            f"attributes (ext4, XFS, Btrfs...), here: {error.strerror}; or use security_model none"
        ) from error
