"""Directories with all that is in them: the share's side of the recursive commands."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from frontend_stub.paths import components, split
from protocol.ninep.flags import QTDIR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frontend_stub.paths import Path
    from frontend_stub.share import Share


def make_directories(share: Share, path: Path) -> None:
    """Make a directory and the parents it lacks; one that is there already is no error.

    Raises ``OSError``: EEXIST where ``path`` is a file.
    """
    names = components(path)
    for depth in range(1, len(names) + 1):
        step = b"/".join(names[:depth])
        try:
            share.mkdir(step)
        except FileExistsError:
            if not share.stat(step).is_directory:
                raise


def remove_tree(share: Share, path: Path) -> None:
    """Remove a file, or a directory and all below it.  Links are removed, not followed.

    Raises ``OSError``: EINVAL for the root, which is not ours to remove.
    """
    split(path)
    if not share.stat(path).is_directory:
        share.remove(path)
        return
    base = b"/".join(components(path))
    # All names first: removing while reading may make a server skip entries.
    for name, is_directory in reversed(list(files_below(share, base))):
        with suppress(FileNotFoundError):  # somebody else was quicker
            (share.rmdir if is_directory else share.remove)(base + b"/" + name)
    share.rmdir(path)


def files_below(share: Share, directory: Path) -> Iterator[tuple[bytes, bool]]:
    """The path of everything below ``directory``, relative to it, and whether it is a directory.

    Parents come before what is in them.
    """
    base = b"/".join(components(directory))
    waiting = [b""]
    while waiting:
        parent = waiting.pop()
        for entry in list(share.scandir(b"/".join((base, parent)))):
            path = b"/".join((parent, entry.name)) if parent else entry.name
            is_directory = bool(entry.qid.type & QTDIR)
            yield path, is_directory
            if is_directory:
                waiting.append(path)


def target_path(share: Share, target: Path, source: Path) -> bytes:
    """Where ``source`` goes: ``target``, or under its own name into it where it is a directory."""
    raw = os.fsencode(target)
    name = os.path.basename(os.fsencode(source).rstrip(b"/"))
    if raw.endswith(b"/"):
        return raw + name
    try:
        into = share.stat(raw).is_directory
    except FileNotFoundError:
        into = False
    return raw + b"/" + name if into else raw
