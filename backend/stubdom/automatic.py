"""Gives each stub domain its state share when it appears (``[stubdom] auto``).

In time: libxl writes ``target`` long before the stub domain runs.  What it does in between (its
consoles, the proxy of its monitor, a QEMU in Dom0, network devices: ``libxl_dm.c``,
``spawn_stub_launch_dm`` and what follows) takes it a multiple of what we need for one transaction.
And were we late, nothing would be lost: both ends of the device appear in one transaction, so a
frontend finds all of it or nothing, and Linux's notices a device that appears later.

It is ``target`` alone that is watched, one node for each domain: watching above would let any guest
wake us as often as it likes, by writing below its own home.  Whom the node is believed is said in
``target``.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from backend import toolstack
from backend.share import ShareError
from backend.stubdom.state_share import TAG, state_share
from backend.stubdom.target import target_node, target_of
from backend.supervisor.keys import parse_domid
from backend.toolstack import TagTakenError, ToolstackError
from protocol.xenpv.ids import DOM0

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.config import Config
    from backend.supervisor.reactor import Reactor
    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Store, StoreView

log = logging.getLogger(__name__)

_INTRODUCED: Final = "introduced"
_TARGET: Final = "target "
"""Begins the token of a watch on a domain's ``target``; the domain's number follows."""

_RETRY: Final = 1.0
"""Seconds until a domain is looked at again for which XenStore refused something."""


class StateShares:
    """The stub domains of this Dom0.  One thread calls all methods."""

    def __init__(
        self, store: Store, reactor: Reactor, config: Config, wake: Callable[[], None]
    ) -> None:
        """``wake`` asks for ``work`` to be called soon."""
        self._store = store
        self._reactor = reactor
        self._config = config
        self._wake = wake
        self._watched: set[Domid] = set()
        self._due: set[Domid] = set()
        self._scan_due = True

    def start(self) -> None:
        """Begin to watch.  Raises ``OSError``."""
        self._store.watch("@introduceDomain", _INTRODUCED)

    def hear(self, token: str) -> None:
        """Take note of an event, if it is of one of our watches."""
        if token == _INTRODUCED:
            self._scan_due = True
        elif token.startswith(_TARGET):
            domid = parse_domid(token.removeprefix(_TARGET))
            if domid in self._watched:
                self._due.add(domid)

    def domains_ended(self) -> None:
        """Some domains are no more: let go of what was of them."""
        self._scan_due = True

    def work(self) -> None:
        """Do what is due; it stays due if XenStore cannot be reached (``OSError``)."""
        if self._scan_due:
            self._scan()
            self._scan_due = False
        for domid in list(self._due):
            try:
                self._look(domid)
            except (ConnectionError, TimeoutError):
                raise
            except OSError as error:
                log.warning("d%d: no state share yet: %s", domid, error.strerror or error)
                self._reactor.after(_RETRY, partial(self._look_again, domid))
            self._due.discard(domid)

    def _scan(self) -> None:
        """Watch the domains that there are."""
        named = {parse_domid(name) for name in self._store.list("/local/domain")}
        there = {domid for domid in named if domid not in (None, DOM0)}
        for domid in self._watched - there:
            self._store.unwatch(target_node(domid), f"{_TARGET}{domid}")
            self._watched.discard(domid)
        for domid in there - self._watched:
            self._store.watch(target_node(domid), f"{_TARGET}{domid}")
            self._watched.add(domid)

    def _look(self, domid: Domid) -> None:
        """Give the domain its share, if it is a stub domain and has none.  Raises ``OSError``."""
        target = target_of(self._store, domid)
        if target is None:
            return

        def check(view: StoreView) -> None:
            if target_of(view, domid) != target:
                raise ToolstackError(f"domain {domid} is another one by now")

        try:
            share = state_share(self._config.stubdom, self._config.run_dir, target)
            number = toolstack.attach(self._store, DOM0, domid, share, TAG, check=check)
        except TagTakenError:  # attached by hand, or by the last supervisor
            log.debug("d%d has a share called %s", domid, TAG)
        except (ShareError, ToolstackError) as error:
            log.warning("d%d, stub domain of d%d: no state share: %s", domid, target, error)
        else:
            log.info("d%d/%d: state share for the device model of d%d", domid, number, target)

    def _look_again(self, domid: Domid) -> None:
        if domid in self._watched:
            self._due.add(domid)
            self._wake()
