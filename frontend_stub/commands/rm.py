"""``rm``: remove files and, with ``-r``, directories with all that is in them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from frontend_stub.trees import remove_tree

if TYPE_CHECKING:
    import argparse

    from frontend_stub.share import Share

HELP = "remove files"
EXAMPLE = "xen-fileproxy-front rm -f qemu-save.7"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("-r", "--recursive", action="store_true", help="remove directories too")
    parser.add_argument("-f", "--force", action="store_true", help="a missing file is no error")
    parser.add_argument("path", nargs="+", help="what to remove")


def run(share: Share, args: argparse.Namespace) -> int:
    """Remove each; the first failure ends it."""
    for path in args.path:
        with suppress(*([FileNotFoundError] if args.force else [])):
            if args.recursive:
                remove_tree(share, path)
            else:
                share.remove(path)
    return 0
