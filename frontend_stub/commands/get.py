"""``get``: copies files of the share to this side."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from frontend_stub.commands.summary import show
from frontend_stub.commands.transfer import Summary, Transfer, add_options
from frontend_stub.local_files import STANDARD, target
from frontend_stub.progress import progress
from frontend_stub.trees import files_below

if TYPE_CHECKING:
    import argparse

    from frontend_stub.share import Share

HELP = "copy a file of the share to a local file, or to standard output"
EXAMPLE = "xen-fileproxy-front get qemu-save.7 - | qemu-system-x86_64 -incoming exec:cat ..."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_options(parser)
    parser.add_argument("source", help="file of the share")
    parser.add_argument(
        "target", nargs="?", default=".", help="local file, directory, or - (default: here)"
    )


def run(share: Share, args: argparse.Namespace) -> int:
    """Copy; a local file appears under its name when it is complete."""
    transfer = Transfer(share, args)
    if args.recursive and share.stat(args.source).is_directory:
        summaries = _tree(share, transfer, args)
    else:
        summaries = [_one(share, transfer, args.source, _local(args.source, args.target), args)]
    # Standard output is taken by the data where that is the target.
    show(summaries, args, sys.stderr if args.target == STANDARD else sys.stdout)
    return 0


def _local(source: str, wanted: str) -> str:
    if wanted != STANDARD and os.path.isdir(wanted):
        return os.path.join(wanted, os.path.basename(source.rstrip("/")))
    return wanted


def _one(
    share: Share, transfer: Transfer, source: str | bytes, local: str, args: argparse.Namespace
) -> Summary:
    label = os.fsdecode(source)
    size = share.stat(source).size if sys.stderr.isatty() else None
    with progress(label, size, quiet=args.quiet) as step, target(local) as descriptor:
        return transfer.receive(source, local, descriptor, step)


def _tree(share: Share, transfer: Transfer, args: argparse.Namespace) -> list[Summary]:
    if args.target == STANDARD:
        raise IsADirectoryError(21, "a directory cannot go to standard output", args.source)
    top = _local(args.source, args.target)
    os.makedirs(top, exist_ok=True)
    summaries = []
    for name, is_directory in files_below(share, args.source):
        local = os.path.join(top, os.fsdecode(name))
        if is_directory:
            os.makedirs(local, exist_ok=True)
        else:
            source = os.fsencode(args.source) + b"/" + name
            summaries.append(_one(share, transfer, source, local, args))
    return summaries
