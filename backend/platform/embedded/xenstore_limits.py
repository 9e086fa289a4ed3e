"""What one guest may make XenStore keep.  Dom0 has no limit but a packet's size.

The numbers are xenstored's defaults (Xen tools/xenstored/domain.c).
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """Per guest, unless it says otherwise."""

    nodes: int = 1000
    """Nodes owned, so that no guest fills the memory of all."""

    node_size: int = 2048
    """Bytes of one node, as ``size_of`` counts: value, names of children, permissions."""

    permissions: int = 5
    """Entries of one node, because every access check reads them."""

    path: int = 2048
    """Bytes of a path after ``/local/domain/N/``."""

    watches: int = 128
    """Every change in the store is matched against every watch."""

    transactions: int = 10
    """Open at once: each keeps copies of what it touched."""

    transaction_nodes: int = 1024
    """Nodes that one transaction touches."""

    connections: int = 64
    """Sockets of one guest.  (Real guests have one ring.)  Each takes a descriptor of ours."""


@dataclass
class Usage:
    """How much each domain holds of what is counted by domain and not by node."""

    limits: Limits
    watches: Counter[int] = field(default_factory=Counter)
    transactions: Counter[int] = field(default_factory=Counter)
    connections: Counter[int] = field(default_factory=Counter)

    def take(self, held: Counter[int], limit: int, domid: int, code: int = errno.ENOSPC) -> None:
        """One more of ``held`` for a domain.  Raises ``OSError`` with ``code`` at the limit."""
        if domid != 0 and held[domid] >= limit:
            raise OSError(code, os.strerror(code))
        held[domid] += 1

    def give_back(self, held: Counter[int], domid: int) -> None:
        """One less; a domain that holds nothing is forgotten."""
        held[domid] -= 1
        if not held[domid]:
            del held[domid]


def no_space() -> OSError:
    """What a domain gets that is at a limit."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
