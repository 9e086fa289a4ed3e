"""The program as systemd runs it, in a Dom0 made with ``--init systemd``."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tests.lab.service import LOG, Service, check_log, command, serves, until

if TYPE_CHECKING:
    from collections.abc import Mapping

UNIT: Final = "xen-fileproxy.service"
SYSTEMD: Final = Path("/run/systemd/system")
"""There while systemd is the first process: sd_booted(3)."""


class Unit(Service):
    """``xen-fileproxy.service``, which runs since Dom0 is up."""

    def start(self, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        """Start it, if it does not run, and wait until it answers."""
        variables = [f"{name}={value}" for name, value in environment.items()]
        if variables:
            systemctl("set-environment", *variables)
        # Tests start it more often than StartLimitBurst= of the unit lets anybody.
        systemctl("reset-failed", UNIT)
        try:
            systemctl("start", UNIT)
        finally:
            if variables:
                systemctl("unset-environment", *environment)
        self._wait()

    @property
    def pid(self) -> int:
        """The supervisor of the moment."""
        return int(shown("MainPID"))

    def leave(self) -> None:
        """``systemctl stop``; the workers serve on."""
        systemctl("stop", UNIT)

    def restart(self, number: signal.Signals) -> None:
        """``systemctl restart``; or kill it, and systemd starts the next one by itself."""
        before = self.pid
        systemctl("reset-failed", UNIT)
        if number == signal.SIGTERM:
            systemctl("restart", UNIT)
        else:
            systemctl("kill", "--kill-whom=main", f"--signal={number.name}", UNIT)
            until(lambda: self.pid not in (0, before), 120, "systemd starts no other")
        self._wait()
        assert self.pid != before

    def _wait(self) -> None:
        # Killed, or by a device that udev announced, it may be about to start.
        until(lambda: shown("ActiveState") != "activating", 300, "the unit does not start")
        until(self._answers, 120, "the supervisor does not answer")

    def _answers(self) -> bool:
        assert shown("ActiveState") == "active", LOG.read_text()
        return serves()

    def close(self) -> None:
        """Stop it in order."""
        command("stop")
        until(lambda: shown("ActiveState") == "inactive", 120, "the unit does not end")
        assert shown("Result") == "success", LOG.read_text()
        systemctl("reset-failed", UNIT)  # the next start may be by udev or the hotplug script
        check_log()


def systemctl(*arguments: str) -> str:
    """Run ``systemctl``; its output."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"systemctl {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def shown(name: str) -> str:
    """A property of the unit."""
    return systemctl("show", "--value", f"--property={name}", UNIT)
