"""Attaches shares to running domains and takes them away: the toolstack's part, as libxl plays it.

Source: Xen ``tools/libs/light/libxl_9pfs.c``, ``libxl_device.c``.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from backend.devices import read_tag
from backend.share import Share, share_nodes
from protocol.xenpv.device import BACKEND_CLASS, FRONTEND_CLASS
from protocol.xenpv.ids import Devid
from protocol.xenpv.nodes import names_below, value_of
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Store, StoreView

T = TypeVar("T")

_MAX_DEVICES: Final = 1024
_TOKEN: Final = "toolstack"  # noqa: S105 -- a XenStore watch's token


class ToolstackError(Exception):
    """A share cannot be attached or detached; the text says why."""


class Ends(NamedTuple):
    """The two directories of a device."""

    frontend: str
    backend: str


def ends(own: Domid, domid: Domid, devid: Devid) -> Ends:
    """Where a device's two ends are."""
    return Ends(
        f"/local/domain/{domid}/device/{FRONTEND_CLASS}/{devid}",
        f"/local/domain/{own}/backend/{BACKEND_CLASS}/{domid}/{devid}",
    )


class TagTakenError(ToolstackError):
    """The domain has a device of this tag already."""


def attach(
    store: Store,
    own: Domid,
    domid: Domid,
    share: Share,
    tag: str,
    *,
    devid: Devid | None = None,
    check: Callable[[StoreView], None] = lambda _view: None,
) -> Devid:
    """Create both ends' nodes; the guest mounts ``tag``.  The device's number.

    Without ``devid`` it is the lowest free one.  ``check`` raises what speaks against it; what it
    reads is still so when the nodes appear.

    All nodes come in one transaction: a guest's driver that saw half of them would probe, fail,
    and never try again.  Raises ``ToolstackError``, ``OSError``.
    """
    if domid == own:
        raise ToolstackError(f"domain {domid} is this one: it serves shares and is given none")

    def body(view: StoreView) -> Devid:
        if value_of(view, f"/local/domain/{domid}") is None:
            raise ToolstackError(f"domain {domid}: no such domain")
        check(view)
        number = _free(view, own, domid) if devid is None else devid
        frontend, backend = ends(own, domid, number)
        for end in (frontend, backend):
            if value_of(view, end) is not None:
                raise ToolstackError(f"domain {domid} has a device {number} already ({end})")
        if tag in _tags(view, own, domid):
            raise TagTakenError(
                f'domain {domid} has a device with the tag "{tag}" already, '
                "and a guest mounts by the tag: choose another with --tag"
            )
        # Permissions survive on nodes and children inherit them, so they are set on each.
        ours = [f"n{own}", f"r{domid}"]
        theirs = [f"n{domid}", f"r{own}"]
        for parent in (_parent(frontend), _parent(backend)):
            if value_of(view, parent) is None:
                view.mkdir(parent)
                view.set_permissions(parent, ours)
        _write(view, frontend, _frontend_nodes(own, backend, tag), theirs)
        _write(view, backend, _backend_nodes(domid, frontend, share, tag), ours)
        return number

    # Nodes outlive their domain for a while, and a device among them would be left behind.
    if value_of(store, f"/local/domain/{domid}") is not None and not store.introduced(domid):
        raise ToolstackError(f"domain {domid} is dying")
    return store.transact(body)


def ask_to_close(store: Store, device: Ends) -> None:
    """Ask the backend to close, as an unplug does.  Raises ``ToolstackError``, ``OSError``."""

    def body(view: StoreView) -> None:
        state = value_of(view, f"{device.backend}/state")
        if state is None:
            raise ToolstackError(f"{device.backend}: no such device")
        view.write(f"{device.backend}/online", b"0")
        if XenbusState.parse(state) is not XenbusState.CLOSED:
            view.write(f"{device.backend}/state", b"%d" % XenbusState.CLOSING)

    store.transact(body)


def remove(store: Store, device: Ends) -> None:
    """Remove both ends' nodes, and the directories above that held nothing else.

    Raises ``OSError``.
    """

    def body(view: StoreView) -> None:
        for end in device:
            if value_of(view, end) is not None:
                view.rm(end)
                if not view.list(_parent(end)):
                    view.rm(_parent(end))

    store.transact(body)


def wait_for(
    store: Store, device: Ends, done: Callable[[XenbusState], bool], timeout: float
) -> XenbusState:
    """Wait until the backend's state is one that ``done`` accepts; the last state seen.

    After ``timeout`` seconds that is any other state.  Raises ``OSError``.
    """
    path = f"{device.backend}/state"

    def now() -> XenbusState:
        return XenbusState.parse(value_of(store, path) or b"")

    def good() -> XenbusState | None:
        state = now()
        return state if done(state) else None

    state = watch_for(store, path, good, timeout)
    return now() if state is None else state


def watch_for(store: Store, path: str, look: Callable[[], T | None], timeout: float) -> T | None:
    """What ``look`` finds: it is called now, and whenever something changes at or below ``path``.

    ``None`` where it finds nothing within ``timeout`` seconds.  Raises ``OSError``.
    """
    deadline = time.monotonic() + timeout
    store.watch(path, _TOKEN)
    try:
        while True:
            store.events()  # before the look, so that no change is missed
            found = look()
            left = deadline - time.monotonic()
            if found is not None or left <= 0:
                return found
            select.select([store.fileno()], [], [], left)
    finally:
        store.unwatch(path, _TOKEN)


def frontend_state(store: Store, device: Ends) -> XenbusState:
    """What the guest's end says of itself.  Raises ``OSError``."""
    return XenbusState.parse(value_of(store, f"{device.frontend}/state") or b"")


def why_closed(store: Store, device: Ends) -> str | None:
    """What the backend's ``error`` node says.  Raises ``OSError``."""
    value = value_of(store, f"{device.backend}/error")
    return None if value is None else value.decode(errors="replace")


def _frontend_nodes(own: Domid, backend: str, tag: str) -> dict[str, bytes]:
    return {
        "backend": backend.encode(),
        "backend-id": b"%d" % own,
        "state": b"%d" % XenbusState.INITIALISING,
        "tag": tag.encode(),
    }


def _backend_nodes(domid: Domid, frontend: str, share: Share, tag: str) -> dict[str, bytes]:
    return {
        "frontend": frontend.encode(),
        "tag": tag.encode(),  # the guest may rewrite the one in its own end
        "frontend-id": b"%d" % domid,
        "online": b"1",
        "state": b"%d" % XenbusState.INITIALISING,
        **share_nodes(share),
    }


def _write(view: StoreView, end: str, nodes: dict[str, bytes], permissions: list[str]) -> None:
    made = set()
    for name, value in nodes.items():
        path = f"{end}/{name}"
        # From the device's directory down to the node's own; each gets its permissions.
        above = [path[:at] for at in range(len(end), len(path)) if path[at] == "/"]
        for directory in above:
            if directory not in made:
                view.mkdir(directory)
                view.set_permissions(directory, permissions)
                made.add(directory)
        view.write(path, value)
        view.set_permissions(path, permissions)


def _free(view: StoreView, own: Domid, domid: Domid) -> Devid:
    for number in range(_MAX_DEVICES):
        if all(value_of(view, end) is None for end in ends(own, domid, Devid(number))):
            return Devid(number)
    raise ToolstackError(f"domain {domid} has {_MAX_DEVICES} devices already")


def _tags(view: StoreView, own: Domid, domid: Domid) -> set[str | None]:
    """The tags in both ends of the domain's devices, those of other backends too."""
    found: set[str | None] = set()
    for directory in map(_parent, ends(own, domid, Devid(0))):
        found.update(read_tag(view, f"{directory}/{name}") for name in names_below(view, directory))
    return found


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
