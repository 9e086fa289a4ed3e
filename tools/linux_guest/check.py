"""A program that finds out one thing in one guest: what it works with, and how it ends."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Final

from tools.linux_guest.bed import served
from tools.linux_guest.cache import Cache
from tools.linux_guest.errors import exit_status
from tools.linux_guest.kernels import kernel
from tools.linux_guest.root import root_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tools.linux_guest.machine import Machine, Peer

PORT: Final = 5640
"""Where the guest finds our server."""


def guest(
    series: str, logs: Path, export: Path, options: Sequence[str], peers: Sequence[Peer] = ()
) -> AbstractContextManager[Machine]:
    """A guest of that kernel; ``options`` of ``serve``, which shows it ``export``, new in ``logs``.

    Raises ``GuestError``.
    """
    cache = Cache()
    linux, root = kernel(series, cache), root_archive(cache)
    shutil.rmtree(logs, ignore_errors=True)
    export.mkdir(parents=True)
    return served(linux, root, logs, export, options, ports=[PORT], peers=peers)


def main(name: str, run: Callable[[str], list[str]], agreed: str) -> int:
    """Run the check with the command line's kernel; 0 where nothing is found wrong."""

    def checked() -> int:
        found = run(sys.argv[1] if len(sys.argv) > 1 else "6.1")
        print("\n".join(found) or f"{name}: {agreed}")
        return 1 if found else 0

    return exit_status(name, checked)
