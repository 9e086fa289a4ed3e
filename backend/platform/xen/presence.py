"""Whether this machine runs under Xen at all."""

from __future__ import annotations

from typing import Final

_HYPERVISOR: Final = "/sys/hypervisor/type"


def under_xen() -> bool:
    """Whether the kernel says that it runs on Xen."""
    try:
        with open(_HYPERVISOR, encoding="ascii") as file:
            return file.read().strip() == "xen"
    except OSError:
        return False
