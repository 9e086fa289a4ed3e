"""The supervisor: hears XenStore, keeps the set of devices, and gives each its turns."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from backend.stubdom.automatic import StateShares
from backend.supervisor.device import Device
from backend.supervisor.inventory import reject, sweep, take_inventory
from backend.supervisor.keys import DeviceKey, device_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.supervisor.services import Services

log = logging.getLogger(__name__)

_BACKEND: Final = "backend"
_RELEASE: Final = "release"
_RETRY: Final = 1.0
"""Seconds until XenStore is asked again after it failed."""

_AFTER_RELEASE: Final = (0.2, 1.0, 5.0)
"""When to look for dead domains' leftovers: a toolstack removes a domain's own nodes only some time
after ``@releaseDomain`` has fired."""


class Supervisor:
    """All devices below our root."""

    def __init__(self, services: Services) -> None:
        self.devices: dict[DeviceKey, Device] = {}
        self._tokens: dict[str, DeviceKey] = {}
        self._rejected: set[str] = set()
        self._services = services
        self._reactor = services.reactor
        self._store = services.store
        self._due: dict[DeviceKey, None] = {}
        """Devices that want a look, in the order they asked."""
        self._scan_due = False
        self._sweep_due = False
        self._turn_set = False
        self._failing = False
        self._left: Callable[[], None] | None = None
        self._state_shares: StateShares | None = None
        if services.config.stubdom.auto:
            self._state_shares = StateShares(
                services.store, services.reactor, services.config, self._set_turn
            )

    def start(self) -> None:
        """Take over what the last supervisor left, and begin to watch.  Raises ``OSError``."""
        for key, record in self._services.records.found():
            self._know(key).adopt(record)
        self._reactor.register(self._store.fileno(), self._hear)
        self._store.watch(self._services.root, _BACKEND)
        self._store.watch("@releaseDomain", _RELEASE)
        if self._state_shares is not None:
            self._state_shares.start()
        self._sweep_due = self._scan_due = True
        self._set_turn()

    def close_all(self, left: Callable[[], None]) -> None:
        """Stop all workers and close all devices, within the timeouts, then call ``left``.

        A second time, call it at once.
        """
        if self._left is not None:
            left()
            return
        self._left = left
        timeouts = self._services.config.timeouts
        self._reactor.after(timeouts.stop + timeouts.close + _RETRY, left)
        for device in self.devices.values():
            device.retire()
            self._mark(device.key)
        self._set_turn()

    def close(self) -> None:
        """Hear no more; what serves a guest goes on, unless all are to be closed."""
        self._reactor.unregister(self._store.fileno())
        if left := sum(device.leave() for device in self.devices.values()):
            log.info("%d workers serve on, and wait for the next supervisor", left)

    def _hear(self) -> None:
        for path, token in self._store.events():
            if token == _BACKEND:
                self._backend_changed(path)
            elif token == _RELEASE:
                for delay in _AFTER_RELEASE:
                    self._reactor.after(delay, self._sweep_soon)
                self._sweep_due = True
            elif token in self._tokens:  # a frontend's state
                self._mark(self._tokens[token])
            elif self._state_shares is not None:
                self._state_shares.hear(token)
        self._set_turn()

    def _backend_changed(self, path: str) -> None:
        key = device_of(self._services.root, path)
        if key in self.devices:
            self._mark(key)
        else:
            # A device that is new, or a directory above devices: look at what there is.
            self._scan_due = True
            for known in self.devices:
                if f"{self._services.root}/{known.domid}/{known.devid}".startswith(path):
                    self._mark(known)

    def _know(self, key: DeviceKey) -> Device:
        device = self.devices[key] = Device(key, self._services, partial(self._wake, key))
        self._tokens[str(key)] = key
        self._mark(key)
        return device

    def _mark(self, key: DeviceKey) -> None:
        self._due[key] = None

    def _wake(self, key: DeviceKey) -> None:
        self._mark(key)
        self._set_turn()

    def _sweep_soon(self) -> None:
        self._sweep_due = True
        self._set_turn()

    def _set_turn(self) -> None:
        if not self._turn_set:
            self._turn_set = True
            self._reactor.after(0, self._turn)

    def _turn(self) -> None:
        self._turn_set = False
        try:
            self._work()
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.warning("XenStore: %s; trying again", error.strerror or error)
            self._failing = True
            self._reactor.after(_RETRY, self._set_turn)
        if self._left is not None and self._may_leave():
            self._left()

    def _work(self) -> None:
        """Everything that is due; it stays due if XenStore cannot be reached (``OSError``)."""
        if self._sweep_due:
            self._sweep()
            self._sweep_due = False
        if self._scan_due:
            self._scan()
            self._scan_due = False
        if self._state_shares is not None and self._left is None:
            self._state_shares.work()
        # Once round: a device that wants more at once gets its next turn after all others.
        for key in list(self._due):
            del self._due[key]
            try:
                self._look(key)
            except OSError:
                self._mark(key)
                raise

    def _may_leave(self) -> bool:
        if self._failing:  # nobody can be told anything: it is enough that nothing runs
            return all(device.idle for device in self.devices.values())
        return all(device.quiet for device in self.devices.values())

    def _look(self, key: DeviceKey) -> None:
        device = self.devices.get(key)
        if device is None:
            return
        try:
            device.look()
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            # XenStore is there and refuses something about this one device.
            device.log.warning("XenStore: %s", error.strerror or error)
            self._reactor.after(_RETRY, partial(self._wake, key))
        except Exception:  # a mistake of ours about one device must not end the others
            device.log.exception("unforeseen")
        if device.gone:
            device.log.info("device is gone")
            del self.devices[key], self._tokens[str(key)]
            self._scan_due = self._sweep_due = True
            self._set_turn()

    def _sweep(self) -> None:
        for domid in sweep(self._store, self._services.root):
            log.info("d%d: domain is gone; removed its devices", domid)
            for key in self.devices:
                if key.domid == domid:
                    self._mark(key)
        if self._state_shares is not None:
            self._state_shares.domains_ended()

    def _scan(self) -> None:
        """Find devices that we do not know yet."""
        found = take_inventory(self._store, self._services.root)
        for key in found.devices:
            if key not in self.devices and self._left is None:
                self._know(key)
        for directory in found.misnamed:
            if directory not in self._rejected:
                log.warning("%s: not the path of a device", directory)
                reject(self._store, directory)
        self._rejected = set(found.misnamed)
