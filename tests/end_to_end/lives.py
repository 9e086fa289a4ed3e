"""The worker of the moment, to be killed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def kill_worker(keeper: int) -> bool:
    """Kill the one that serves for ``keeper``; false where there is none just now."""
    path = Path(f"/proc/{keeper}/task/{keeper}/children")
    with suppress(FileNotFoundError, ProcessLookupError):
        children = path.read_text(encoding="ascii").split()
        if children:
            os.kill(int(children[0]), signal.SIGKILL)
            return True
    return False
