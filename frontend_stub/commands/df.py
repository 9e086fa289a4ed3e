"""``df``: how much room the share has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontend_stub.commands import output

if TYPE_CHECKING:
    import argparse

    from frontend_stub.share import Share

HELP = "show how much room the share has"
EXAMPLE = "xen-fileproxy-front df --json | jq .available"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print it as JSON, in bytes")


def run(share: Share, args: argparse.Namespace) -> int:
    """Show the file system's figures."""
    figures = share.statfs()
    if args.json:
        output.document(figures._asdict())
        return 0
    output.line(f"total:     {output.size(figures.total)}")
    output.line(f"used:      {output.size(figures.total - figures.free)}")
    output.line(f"available: {output.size(figures.available)}")
    output.line(f"files:     {figures.files - figures.files_free} of {figures.files}")
    return 0
