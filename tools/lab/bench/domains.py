"""In Dom0: the time that domains have run, by Xen's own clock."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final


class Domains:
    """By libxenstat."""

    def __init__(self) -> None:
        """Raises ``ValueError`` where the library is not there."""
        (path,) = Path("/usr/lib/x86_64-linux-gnu").glob("libxenstat.so.*.*.*")
        self._library: Final = ctypes.CDLL(str(path))
        for name in ("xenstat_init", "xenstat_get_node", "xenstat_node_domain"):
            getattr(self._library, name).restype = ctypes.c_void_p
        self._library.xenstat_domain_cpu_ns.restype = ctypes.c_ulonglong
        self._handle: Final = ctypes.c_void_p(self._library.xenstat_init())

    def seconds(self, domid: int) -> float:
        """Of a domain that exists."""
        node = ctypes.c_void_p(self._library.xenstat_get_node(self._handle, 0))
        domain = ctypes.c_void_p(self._library.xenstat_node_domain(node, domid))
        taken: int = self._library.xenstat_domain_cpu_ns(domain)
        self._library.xenstat_free_node(node)
        return taken / 1e9
