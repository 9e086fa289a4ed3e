"""One device's XenStore nodes: what is read of them, and what is written, each in one piece.

A write first makes sure, in its transaction, that the backend's state is still what the decision
was made on: a toolstack that asked for an unplug meanwhile must not be overruled, and a device that
was removed must not come back as a lone ``state`` node.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from backend.domains import domain_name
from backend.share import Share, ShareError, read_share
from protocol.xenpv.device import BackendOffer, RingOffer, backend_nodes, read_frontend_nodes
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend.supervisor.keys import DeviceKey
    from protocol.xenpv.ports import Store, StoreView

_MAX_VALUE = 1024
"""Bytes of a toolstack's value that mean anything: a path."""

_MAX_TAG = 64
"""Bytes of a tag that are shown; nothing depends on it."""


class NodeError(Exception):
    """A node that a toolstack wrote is missing or wrong; the text names it."""


class Seen(NamedTuple):
    """What the nodes say now."""

    own: XenbusState
    frontend: XenbusState
    frontend_path: str | None
    """``None`` while there is no such node yet."""
    path: str | None
    tag: str | None
    online: bool
    """False once a toolstack has asked for an unplug."""
    domain: bytes | None
    """What identifies the domain over its life; ``None`` when there is no such domain."""


class DeviceNodes:
    """The nodes of device ``key``, below ``backend``.  Raises ``OSError`` as a store does."""

    def __init__(self, store: Store, root: str, key: DeviceKey) -> None:
        self._store = store
        self._key = key
        self._home = f"/local/domain/{key.domid}"
        self.backend = f"{root}/{key.domid}/{key.devid}"

    def look(self) -> Seen | None:
        """All that matters, or ``None`` when the device is not there (any more)."""
        if self._read(f"{self.backend}") is None:
            return None
        frontend = self._text("frontend")
        return Seen(
            own=XenbusState.parse(self._read(f"{self.backend}/state") or b""),
            frontend=self._frontend_state(frontend),
            frontend_path=frontend,
            path=self._text("path"),
            tag=self._tag(frontend),
            online=self._text("online") != "0",
            domain=self._domain(),
        )

    def is_home(self, frontend_path: str | None) -> bool:
        """Whether this is a path of the device's own domain."""
        return frontend_path is not None and frontend_path.startswith(self._home + "/")

    def check_frontend(self, seen: Seen) -> None:
        """What the toolstack wrote must make sense.  Raises ``NodeError``."""
        if not self.is_home(seen.frontend_path):
            raise NodeError(f'frontend is "{seen.frontend_path}"; it must lie below {self._home}')
        named = self._text("frontend-id")
        if named != str(self._key.domid):
            raise NodeError(f'frontend-id is "{named}"; it must be {self._key.domid}, as the path')

    def read_share(self) -> Share:
        """What is to be shared, and how.  Raises ``NodeError``."""
        try:
            return read_share(lambda name: self._read(f"{self.backend}/{name}"))
        except ShareError as error:
            raise NodeError(str(error)) from error

    def domain_name(self) -> str | None:
        """What the toolstack calls the domain."""
        return domain_name(self._store, self._key.domid)

    def shown(self) -> str | None:
        """What is shared, in a line for people, as far as the nodes make sense."""
        try:
            return self.read_share().shown
        except NodeError:
            return self._text("path")

    def read_rings(self, seen: Seen, offer: BackendOffer) -> list[RingOffer]:
        """What the frontend chose.  Raises ``HandshakeError``."""
        return read_frontend_nodes(lambda name: self._read(f"{seen.frontend_path}/{name}"), offer)

    def announce(self, expected: XenbusState, offer: BackendOffer) -> bool:
        """Write what we offer and go to InitWait; as ``move``."""
        return self._move(expected, XenbusState.INIT_WAIT, backend_nodes(offer), clear_error=True)

    def move(self, expected: XenbusState, state: XenbusState) -> bool:
        """Go from one state to another; false, and nothing written, where it is another already."""
        return self._move(expected, state, {})

    def fail(self, expected: XenbusState, reason: str) -> bool:
        """Go to Closing and say why; as ``move``."""
        return self._move(expected, XenbusState.CLOSING, {"error": reason.encode()})

    def _move(
        self,
        expected: XenbusState,
        state: XenbusState,
        nodes: Mapping[str, bytes],
        *,
        clear_error: bool = False,
    ) -> bool:
        def body(view: StoreView) -> bool:
            try:
                now = XenbusState.parse(view.read(f"{self.backend}/state"))
            except FileNotFoundError:
                return False
            if now is not expected:
                return False
            if clear_error:
                view.rm(f"{self.backend}/error")
            for name, value in nodes.items():
                view.write(f"{self.backend}/{name}", value)
            view.write(f"{self.backend}/state", b"%d" % state)
            return True

        return self._store.transact(body)

    def _frontend_state(self, frontend: str | None) -> XenbusState:
        if not self.is_home(frontend):
            return XenbusState.UNKNOWN
        return XenbusState.parse(self._read(f"{frontend}/state") or b"")

    def _domain(self) -> bytes | None:
        # /local/domain/N/vm names the domain's UUID, which the next domain N does not have.
        vm = self._read(f"{self._home}/vm")
        return vm if vm is not None else self._read(self._home)

    def _tag(self, frontend: str | None) -> str | None:
        """What the guest mounts; a toolstack writes it for the guest, who may write it anew."""
        value = self._read(f"{frontend}/tag") if self.is_home(frontend) else None
        return None if value is None else value[:_MAX_TAG].decode(errors="replace")

    def _text(self, name: str) -> str | None:
        value = self._read(f"{self.backend}/{name}")
        if value is None:
            return None
        return value[:_MAX_VALUE].decode(errors="replace")

    def _read(self, path: str) -> bytes | None:
        try:
            return self._store.read(path)
        except (FileNotFoundError, PermissionError):
            return None
        except OSError as error:
            if error.errno == errno.EINVAL:  # a path that XenStore does not take: no such node
                return None
            raise
