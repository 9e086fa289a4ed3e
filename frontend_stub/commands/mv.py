"""``mv``: give a file or directory another name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontend_stub.trees import target_path

if TYPE_CHECKING:
    import argparse

    from frontend_stub.share import Share

HELP = "rename a file or directory; a file of the new name is replaced"
EXAMPLE = "xen-fileproxy-front mv qemu-save.7 states/"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("old", help="its name")
    parser.add_argument("new", help="its new name, or a directory to move it to")


def run(share: Share, args: argparse.Namespace) -> int:
    """Rename in one step."""
    share.rename(args.old, target_path(share, args.new, args.old))
    return 0
