"""Opens the directory that a device exports, and says why when it may not or cannot be."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from backend.fileserver.policies import virtfs
from backend.fileserver.root import PIN_DIRECTORY, open_root
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


def make_export(path: str, allowed: Sequence[str] = ()) -> None:
    """Make the directory ``path``, and those above it, where they are missing, with mode 0750.

    Whoever serves ``type=xen_9pfsd`` does so (Xen ``tools/9pfsd``): nobody else makes the default,
    ``/var/log/xen/guests/NAME``.  Made is only what is allowed, and no link is followed below the
    first directory that was missing, for what lies above may be another guest's share.

    Raises ``ExportError``.
    """
    above, missing = _split_at_missing(path)
    if not missing:
        return
    try:
        directory = os.open(above, PIN_DIRECTORY & ~os.O_NOFOLLOW)
        try:
            if allowed:
                real = os.readlink(f"/proc/self/fd/{directory}")
                _check_allowed(path, os.path.join(real, *missing), allowed)
            for name in missing:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o750, dir_fd=directory)
                below = os.open(name, PIN_DIRECTORY, dir_fd=directory)
                os.close(directory)
                directory = below
        finally:
            os.close(directory)
    except OSError as error:
        raise ExportError(
            f"export path {path}: not there, and not made: {error.strerror}"
        ) from error


def check_share(share: Share, allowed: Sequence[str] = ()) -> str | None:
    """Why ``share`` cannot be served now, or ``None``.

    Of a named file, it is the directory that counts: the file itself may come later.
    """
    directories = [os.path.dirname(file.path) for file in share.files]
    if share.path:
        directories.append(share.path)
    try:
        for directory in directories:
            os.close(open_export(directory, allowed, share.security_model))
    except ExportError as error:
        return str(error)
    return None


def prepare_share(share: Share, allowed: Sequence[str] = ()) -> str | None:
    """Make the share's directory if it is missing; then as ``check_share``."""
    try:
        if share.path:
            make_export(share.path, allowed)
    except ExportError as error:
        return str(error)
    return check_share(share, allowed)


def _split_at_missing(path: str) -> tuple[str, list[str]]:
    """The last file on the way to ``path`` that is there, and the names below that are not.

    A path with ``..`` in it means what the file system makes of it: nothing is missing there.
    """
    missing: list[str] = []
    if ".." in path.split("/"):
        return path, missing
    above = os.path.normpath(path)
    while above != "/" and not os.path.lexists(above):
        above, name = os.path.split(above)
        missing.insert(0, name)
    return above, missing


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
