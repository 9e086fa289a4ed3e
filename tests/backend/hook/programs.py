"""A program that stands for Xen's daemon: compiled, called by its name, and it ends at SIGHUP."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.backend.supervisor.program import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


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
            # The kernel closes what is closed on exec before it gives the process its new name, so
            # a Popen may be back earlier.
            command = Path(f"/proc/{process.pid}/cmdline")
            wait_until(lambda: command.read_bytes().startswith(bytes(program)), "it does not run")
            yield process
        finally:
            process.kill()
