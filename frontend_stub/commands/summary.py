"""What ``get`` and ``put`` print when they are done."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from frontend_stub.commands import output

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from frontend_stub.commands.transfer import Summary


def show(summaries: Sequence[Summary], args: argparse.Namespace, stream: TextIO) -> None:
    """Print what was asked for: with ``--json`` one object for a file, a list with ``-r``."""
    if args.json:
        shown = [summary.as_json() for summary in summaries]
        output.document(shown if args.recursive else shown[0], stream)
    elif args.sha256:
        for summary in summaries:
            output.line(f"{summary.sha256}  {output.name(summary.source)}", stream)
