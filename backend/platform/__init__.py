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

    Raises ``OSError``: EINVAL for any other name, ENOTSUP for one that this version does not have.
    """
    kind, _, rundir = name.partition(":")
    if kind == "embedded" and rundir:
        from backend.platform.embedded.platform import EmbeddedPlatform

        return EmbeddedPlatform(rundir, domid)
    if name == "xen":
        raise OSError(
            errno.ENOTSUP,
            "this version has no platform xen yet, only the embedded hypervisor: "
            "start it with xen-fileproxy embedded run --dir RUNDIR and name it as embedded:RUNDIR",
        )
    raise OSError(errno.EINVAL, f"platform {name!r} is neither xen nor embedded:RUNDIR")
