"""The ports of protocol.xenpv.ports made real: Xen's libraries, pyxs, and the embedded platform."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from protocol.xenpv.ids import DOM0

if TYPE_CHECKING:
    from backend.platform.platform import Platform
    from protocol.xenpv.ids import Domid


def open_platform(name: str, *, domid: Domid = DOM0) -> Platform:
    """The platform called ``name``: ``xen``, or ``embedded:RUNDIR``, seen from domain ``domid``.

    Under Xen a process is in the domain that it runs in: ``domid`` has no meaning there.
    Raises ``OSError``: EINVAL for any other name.
    """
    kind, _, rundir = name.partition(":")
    if kind == "embedded" and rundir:
        from backend.platform.embedded.platform import EmbeddedPlatform

        return EmbeddedPlatform(rundir, domid)
    if name == "xen":
        from backend.platform.xen.platform import XenPlatform

        return XenPlatform()
    raise OSError(errno.EINVAL, f"platform {name!r} is neither xen nor embedded:RUNDIR")
