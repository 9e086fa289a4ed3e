"""The worker of the moment, to be killed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def worker_of(keeper: int) -> int:
    """The process that serves for ``keeper``; 0 where there is none just now."""
    path = Path(f"/proc/{keeper}/task/{keeper}/children")
    with suppress(FileNotFoundError, ProcessLookupError):
        children = path.read_text(encoding="ascii").split()
        return int(children[0]) if children else 0
    return 0


def kill_worker(keeper: int) -> bool:
    """Kill the one that serves for ``keeper``; false where there is none just now."""
    worker = worker_of(keeper)
    with suppress(ProcessLookupError):
        if worker:
            os.kill(worker, signal.SIGKILL)
            return True
    return False
