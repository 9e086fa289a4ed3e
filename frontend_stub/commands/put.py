"""``put``: copies files of this side to the share, and returns when they are on its disk."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

from frontend_stub.commands.summary import show
from frontend_stub.commands.transfer import Summary, Transfer, add_options
from frontend_stub.local_files import STANDARD, source
from frontend_stub.progress import progress
from frontend_stub.trees import make_directories, target_path

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from frontend_stub.share import Share

HELP = "copy a local file, or standard input, to a file of the share"
EXAMPLE = "qemu migrate 'exec:xen-fileproxy-front put - qemu-save.7'"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_options(parser)
    parser.add_argument(
        "--no-fsync",
        action="store_true",
        help="do not wait until the data are on disk: faster, and lost if the host loses power",
    )
    parser.add_argument("source", help="local file, or - for standard input")
    parser.add_argument(
        "target", nargs="?", default="/", help="file or directory of the share (default: its root)"
    )


def run(share: Share, args: argparse.Namespace) -> int:
    """Copy; success means that the server has the data on disk."""
    transfer = Transfer(share, args)
    if args.source == STANDARD and args.target.endswith("/"):
        raise OSError(errno.EINVAL, "what comes from standard input needs a name", args.target)
    if args.recursive and args.source != STANDARD and os.path.isdir(args.source):
        summaries = _tree(share, transfer, args)
    else:
        into = args.target
        if args.source != STANDARD:
            into = target_path(share, args.target, os.path.abspath(args.source))
        summaries = [_one(transfer, args.source, into, args)]
    show(summaries, args, sys.stdout)
    return 0


def _one(transfer: Transfer, local: str, target: str | bytes, args: argparse.Namespace) -> Summary:
    with source(local) as descriptor:
        size = os.fstat(descriptor).st_size or None
        with progress(local, size, quiet=args.quiet) as step:
            return transfer.send(descriptor, local, target, step, fsync=not args.no_fsync)


def _tree(share: Share, transfer: Transfer, args: argparse.Namespace) -> list[Summary]:
    top = target_path(share, args.target, os.path.abspath(args.source))
    make_directories(share, top)
    summaries = []
    for local, name, is_directory in _local_tree(args.source):
        target = top + b"/" + os.fsencode(name)
        if is_directory:
            make_directories(share, target)
        else:
            summaries.append(_one(transfer, local, target, args))
    return summaries


def _local_tree(top: str) -> Iterator[tuple[str, str, bool]]:
    """Every directory and regular file below ``top``: its path, the same from ``top``, which."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(os.path.join(top, below)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = os.path.join(below, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                    yield entry.path, name, True
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path, name, False
