"""Runs a supervisor in the foreground: what it needs, in order, and given back in reverse."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
from typing import TYPE_CHECKING

from backend.hook.claim import ClaimError, claim, release
from backend.platform import open_platform
from backend.supervisor import notify
from backend.supervisor.checks import ExportChecks
from backend.supervisor.fork_server import ForkServer
from backend.supervisor.keys import backend_root
from backend.supervisor.reactor import Reactor
from backend.supervisor.records import Records
from backend.supervisor.services import Services
from backend.supervisor.status import StatusServer
from backend.supervisor.supervisor import Supervisor
from backend.trace import TraceWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.config import Config
    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Store

log = logging.getLogger(__name__)


class StartError(Exception):
    """Something that is needed is not there; the text names it."""


def run(config: Config, *, version: str, trace: str | None = None) -> None:
    """Serve until SIGTERM, which leaves the workers to the next supervisor, or until SIGINT or the
    command ``stop``, which close all devices.

    Raises ``StartError``.
    """
    with contextlib.ExitStack() as stack:
        with _needed(f"run-dir {config.run_dir}"):
            stack.callback(os.close, _lock(config.run_dir))
            records = Records(config.workers_dir)
        with _needed(f"platform {config.platform}"):
            platform = open_platform(config.platform)
            stack.callback(platform.close)
            store = platform.store()
            stack.callback(store.close)
        if trace is not None:
            with _needed(f"trace {trace}"):
                trace = os.path.abspath(trace)
                TraceWriter.create(trace)
        # Before anything else has threads or descriptors that a child should not see.
        forks = ForkServer(config.platform)
        reactor = Reactor()
        stack.callback(reactor.close)
        checks = ExportChecks(reactor, config.allowed_exports, config.timeouts.start)
        stack.callback(checks.close)
        services = Services(
            store=store,
            root=backend_root(platform.own_domid),
            reactor=reactor,
            config=config,
            checks=checks,
            forks=forks,
            records=records,
            version=version,
            trace=trace,
        )
        supervisor = Supervisor(services)
        stack.callback(supervisor.close)
        with _needed(f"platform {config.platform}"):
            _claim(store, platform.own_domid)
            stack.callback(_release, store, platform.own_domid)
            supervisor.start()

        def close_all() -> None:
            log.info("stopping: closing all devices")
            supervisor.close_all(reactor.stop)

        about = {"pid": os.getpid(), "version": version, "platform": config.platform}
        with _needed(config.status_socket):
            status = StatusServer(config.status_socket, supervisor, reactor, about, close_all)
        stack.callback(status.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            # What the reactor gives back at the end: a late signal must not spoil an orderly exit.
            signal.signal(number, signal.SIG_IGN)
        reactor.on_signals({signal.SIGTERM: reactor.stop, signal.SIGINT: close_all})
        if not config.confinement.walls:
            services.say_missing({})
        log.info("serving %s on platform %s", services.root, config.platform)
        notify.ready()
        reactor.run()
        log.info("stopped")


@contextlib.contextmanager
def _needed(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StartError(f"{what}: {error.strerror or error}") from error


def _claim(store: Store, own: Domid) -> None:
    """Keep libxl from starting another backend.  Raises ``StartError``, ``OSError``."""
    try:
        claim(store, own)
    except ClaimError as error:
        raise StartError(str(error)) from error
    except PermissionError as error:  # a driver domain that was not created as one
        log.warning(
            "libxl is not told that somebody serves: %s: %s", error.filename, error.strerror
        )


def _release(store: Store, own: Domid) -> None:
    try:
        if not release(store, own):
            log.info("guests are connected: libxl is kept from starting another backend")
    except OSError as error:
        log.warning("libxl still believes that somebody serves: %s", error.strerror or error)


def _lock(run_dir: str) -> int:
    """A descriptor that holds the run directory's lock until it is closed.

    Two supervisors on one XenStore would undo each other's work.
    """
    os.makedirs(run_dir, mode=0o700, exist_ok=True)
    path = os.path.join(run_dir, "lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StartError(
            f"a supervisor is running already with run-dir {run_dir}; "
            "stop it first, or give another --run-dir"
        ) from None
    return lock
