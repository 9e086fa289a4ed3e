"""Our systemd unit, where systemd runs the machine."""

from __future__ import annotations

import os
import subprocess
from typing import Final

UNIT: Final = "xen-fileproxy.service"

_BOOTED: Final = "/run/systemd/system"
"""What sd_booted(3) looks for."""


def systemctl(verb: str, unit: str) -> bool:
    """Have systemd do something with a unit that it has; whether it did.  Raises ``OSError``."""
    if not os.path.isdir(_BOOTED):
        return False
    known = subprocess.run(["systemctl", "cat", unit], capture_output=True, check=False)
    if known.returncode:
        return False
    done = subprocess.run(["systemctl", "--quiet", verb, unit], check=False)
    return done.returncode == 0
