"""The programs that the host must have, and the Debian packages that bring them."""

from __future__ import annotations

import shutil
import subprocess
from typing import Final

from tools.linux_guest.errors import GuestError

PACKAGE_OF: Final = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "zstd": "zstd",
}


def require(*programs: str) -> None:
    """Raises ``GuestError`` that names every package that is missing."""
    missing = [PACKAGE_OF[program] for program in programs if not shutil.which(program)]
    if missing:
        names = " ".join(missing)
        raise GuestError(f"missing: {names}; install with: sudo apt install {names}")


def run(*command: str) -> None:
    """Run a program to its end.  Raises ``GuestError`` with the last of what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise GuestError(f"{command[0]} failed with status {done.returncode}:\n{said}")
