"""A program that stands for Xen's daemon: compiled, called by its name, and it ends at SIGHUP."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def daemon(directory: Path, name: str = "xen-9pfsd") -> Iterator[subprocess.Popen[bytes]]:
    """A process of it, ended at the latest when the context is left."""
    program = directory / name
    shutil.copy(shutil.which("sleep") or "sleep", program)
    # What starts the tests may ignore it, as nohup does, and a child would inherit that.
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        process = subprocess.Popen([program, "300"])
    finally:
        signal.signal(signal.SIGHUP, inherited)
    with process:
        try:
            yield process
        finally:
            process.kill()
