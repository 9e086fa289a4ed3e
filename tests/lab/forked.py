"""Commands of the program in processes that are forked from one which has imported them.

An emulated processor takes seconds to start Python and to import what a command wants; this is
done once for all tests.  What a command does, it does in a process of its own all the same.
"""

from __future__ import annotations

import os
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.cli import main

if TYPE_CHECKING:
    from collections.abc import Sequence

_CONTEXT: Final = get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        __name__,
        "backend.platform.xen.platform",
        *(f"backend.commands.{name}" for name in ("attach", "detach", "list", "qmp", "status")),
        *(f"backend.commands.{name}" for name in ("stop", "upgrade")),
    ]
)


class Ended(NamedTuple):
    """What a command came to."""

    status: int
    output: str
    errors: str


def run(arguments: Sequence[str]) -> Ended:
    """Run ``xen-fileproxy`` with these arguments."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        process = _CONTEXT.Process(target=_be, args=(arguments, output, errors))
        process.start()
        process.join()
        status = process.exitcode
        process.close()
        assert status is not None
        return Ended(status, output.read_text(), errors.read_text())


def _be(arguments: Sequence[str], output: Path, errors: Path) -> None:
    """The whole life of the process."""
    for path, number in ((output, 1), (errors, 2)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.exit(main(arguments))
