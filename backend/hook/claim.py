"""The node that tells libxl, and Xen's own daemon, that the 9pfs devices of a domain are served.

Rules:

- Whoever serves ``backend/xen_9pfs`` has ``libxl/xen-9pfs/state`` say ``running``.  libxl starts
  nobody then, and Xen's daemon, were it started, ends at once.  So the supervisor claims the node
  whether or not libxl is set up to start it: two backends on one device would corrupt its rings.
- The claim is one transaction, and Xen's daemon makes its own in one, so one of two that start at
  once finds the other.
- A node that no living process owns was left by a crash, of either program, and is taken over.
  Xen's daemon is known by the file it executes, a supervisor of ours by ``libxl/xen-9pfs/pid``:
  the lock in its run directory does not help where somebody chose another.
- At the end the node goes, and the next guest makes libxl start the program of its directory.  But
  while workers live on without a supervisor and that program is not ours, the node stays: Xen's
  daemon would offer their devices anew under their guests' feet.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from backend.hook.daemon import daemons
from backend.hook.places import Hook, state
from backend.supervisor.keys import backend_root
from protocol.xenpv.nodes import names_below, value_of
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Store, StoreView

_RUNNING: Final = b"running"


class ClaimError(Exception):
    """Somebody else serves; the text names the process and the remedy."""


def directory(own: Domid) -> str:
    """Where the nodes are; libxl reads them by this absolute path, of a driver domain too."""
    return f"/local/domain/{own}/libxl/xen-9pfs"


def claim(store: Store, own: Domid) -> None:
    """Say that we serve.  Raises ``ClaimError``, ``OSError``."""

    def body(view: StoreView) -> None:
        if value_of(view, f"{home}/state") is not None:
            _check_stale(value_of(view, f"{home}/pid") or b"")
        view.write(f"{home}/state", _RUNNING)
        view.write(f"{home}/pid", b"%d" % os.getpid())

    home = directory(own)
    store.transact(body)


def release(store: Store, own: Domid) -> bool:
    """Say that nobody serves any more, if that is so; whether it was said.  Raises ``OSError``."""
    if connected(store, own) and not libxl_starts_us():
        return False
    home = directory(own)
    # No error where a toolstack's cleaning took even the parent.
    store.transact(lambda view: None if value_of(view, home) is None else view.rm(home))
    return True


def clear_stale(store: Store, own: Domid) -> bool:
    """Remove the node if nobody lives who serves; whether it was removed.  Raises ``OSError``.

    With the node of a backend that crashed, libxl starts no other one.
    """
    home = directory(own)

    def body(view: StoreView) -> bool:
        if value_of(view, f"{home}/state") is None:
            return False
        try:
            _check_stale(value_of(view, f"{home}/pid") or b"")
        except ClaimError:
            return False
        view.rm(home)
        return True

    return store.transact(body)


def is_claimed(store: Store, own: Domid) -> bool:
    """Whether the node says that somebody serves.  Raises ``OSError``."""
    return value_of(store, f"{directory(own)}/state") is not None


def connected(store: Store, own: Domid) -> list[str]:
    """The devices that guests use now, as ``DOMID/DEVID``.  Raises ``OSError``."""
    root = backend_root(own)
    devices = [
        f"{domid}/{devid}"
        for domid in names_below(store, root)
        for devid in names_below(store, f"{root}/{domid}")
    ]
    return [
        device
        for device in devices
        if XenbusState.parse(value_of(store, f"{root}/{device}/state") or b"")
        is XenbusState.CONNECTED
    ]


def libxl_starts_us() -> bool:
    """Whether every libxl of this machine that starts a daemon starts ours."""
    hooks = set(state().values()) - {Hook.OLD}
    return hooks == {Hook.OURS}


def _check_stale(pid: bytes) -> None:
    """Raises ``ClaimError`` if a process lives that serves."""
    for other in daemons():
        raise ClaimError(
            f"xen-9pfsd (process {other}) serves the 9pfs devices, and two cannot; "
            "'xen-fileproxy install-hook' ends it and takes its place"
        )
    if _is_supervisor(pid):
        raise ClaimError(
            f"a supervisor (process {pid.decode()}) serves the 9pfs devices already, with another "
            "run-dir; stop it first"
        )


def _is_supervisor(pid: bytes) -> bool:
    """Whether a process runs our ``run``: a number may be another program's by now."""
    if not pid.isdigit() or int(pid) == os.getpid():
        return False
    try:
        with open(f"/proc/{int(pid)}/cmdline", "rb") as file:
            words = file.read(4096).split(b"\0")
    except OSError:
        return False
    program = words.index(b"run") - 1 if b"run" in words else -1
    return program >= 0 and words[program].endswith((b"xen-fileproxy", b"backend.cli"))
