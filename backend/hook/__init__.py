"""libxl's entry to a 9pfs backend: the program it runs, and the node by which it knows one runs.

For a device ``type=xen_9pfsd`` libxl of Xen 4.19 and later runs ``LIBEXEC_BIN/xen-9pfsd``, without
arguments, unless the node ``libxl/xen-9pfs/state`` of the backend's domain is there.  Xen's own
daemon of that name and our supervisor serve the same devices, so only one of them may run; the node
is the lock between them.  Source: Xen ``tools/libs/light/libxl_9pfs.c``, ``tools/9pfsd``.
"""

from __future__ import annotations

from backend.hook.places import Hook, state

__all__ = ["Hook", "state"]
