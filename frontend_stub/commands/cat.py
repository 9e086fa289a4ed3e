"""``cat``: files to standard output."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from frontend_stub.local_files import widen, write_all
from frontend_stub.read_ahead import read_in_order

if TYPE_CHECKING:
    import argparse

    from frontend_stub.share import Share

HELP = "print files"
EXAMPLE = "xen-fileproxy-front cat motd"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("path", nargs="+", help="file to print")


def run(share: Share, args: argparse.Namespace) -> int:
    """Copy each to standard output, in order."""
    widen(1)
    for path in args.path:
        with share.open(path) as file, closing(read_in_order(file, file.stat().size)) as pieces:
            for piece in pieces:
                write_all(1, piece)
    return 0
