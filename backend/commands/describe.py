"""``describe``: prints the protocol from its schema."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

HELP = "print every 9P message of both dialects, from the schema"
EXAMPLE = "xen-fileproxy describe > docs/protocol.md"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options: none."""


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 -- all commands are called alike
    """Print it."""
    from protocol.ninep.describe import text

    sys.stdout.write(text())
    return 0
