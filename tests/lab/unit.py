"""The program as systemd runs it, in a Dom0 made with ``--init systemd``."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from tests.lab.service import LOG, PROGRAM, Service, command, until

UNIT: Final = "xen-fileproxy.service"
SYSTEMD: Final = Path("/run/systemd/system")
"""There while systemd is the first process: sd_booted(3)."""


class Unit(Service):
    """``xen-fileproxy.service``, which runs since Dom0 is up."""

    def __init__(self) -> None:
        """Start it, if need be, and wait until it answers."""
        systemctl("start", UNIT)
        until(self._answers, 120, "the supervisor does not answer")

    @property
    def pid(self) -> int:
        """The supervisor of the moment."""
        return int(shown("MainPID"))

    def _answers(self) -> bool:
        assert shown("ActiveState") == "active", LOG.read_text()
        return subprocess.run([PROGRAM, "status"], capture_output=True, check=False).returncode == 0

    def close(self) -> None:
        """Stop it in order."""
        command("stop")
        until(lambda: shown("ActiveState") == "inactive", 120, "the unit does not end")
        assert shown("Result") == "success", LOG.read_text()


def systemctl(*arguments: str) -> str:
    """Run ``systemctl``; its output."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"systemctl {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def shown(name: str) -> str:
    """A property of the unit."""
    return systemctl("show", "--value", f"--property={name}", UNIT)
