"""``mkdir``: make directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontend_stub.trees import make_directories

if TYPE_CHECKING:
    import argparse

    from frontend_stub.share import Share

HELP = "make directories"
EXAMPLE = "xen-fileproxy-front mkdir -p states/old"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "-p", "--parents", action="store_true", help="make parents too; an existing one is no error"
    )
    parser.add_argument("path", nargs="+", help="directory to make")


def run(share: Share, args: argparse.Namespace) -> int:
    """Make each."""
    for path in args.path:
        if args.parents:
            make_directories(share, path)
        else:
            share.mkdir(path)
    return 0
