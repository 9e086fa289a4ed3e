"""A worker's line to its supervisor, and how it finds the next one when that one ends.

A worker that was told to (``Outlive``) serves on when its supervisor's end of the control channel
closes, and waits on a socket of its own, in a directory that only root may enter.  It listens there
from before the walls go up, which let it accept and neither listen nor connect.  While it has a
supervisor it accepts nobody, so nobody can take it over.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
from struct import Struct
from typing import TYPE_CHECKING, Final

from backend.worker.control import ControlChannel, HandOver, Outlive, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backend.worker.control import FromSupervisor, FromWorker
    from protocol.xenpv.ids import Devid, Domid

log = logging.getLogger(__name__)

_WAITING: Final = 8
"""Supervisors that may have come and gone while the worker was busy."""

_UCRED: Final = Struct("=iII")
"""``struct ucred`` of unix(7): process, user, group."""


def socket_name(domid: Domid, devid: Devid, pid: int) -> str:
    """The name of a worker's socket: no two processes that are alive have the same."""
    return f"{domid}-{devid}.{pid}.sock"


def _listen(directory: str, name: str) -> socket.socket:
    """The socket ``name`` in ``directory``.  Raises ``OSError``."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        # The file gets the mode of the socket's inode: it is never open to others.
        os.fchmod(listener.fileno(), 0o600)
        with _within(directory) as short:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{short}/{name}")  # of an earlier process of our number
            listener.bind(f"{short}/{name}")
        listener.listen(_WAITING)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def connect(directory: str, name: str) -> socket.socket:
    """A connection to the worker that listens on ``name`` in ``directory``.  Never waits.

    It may be in use before the worker has accepted it.  Raises ``OSError``: ECONNREFUSED where
    nobody listens, EAGAIN where so many have come in vain that the worker must be stuck.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.setblocking(False)
        with _within(directory) as short:
            connection.connect(f"{short}/{name}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _within(directory: str) -> Iterator[str]:
    """A name for ``directory`` that is short enough for a unix socket's path, of 107 bytes."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def _nobody_asks(control: int, outlive: bool) -> None:
    """Where there is no journal."""


class Supervision:
    """The supervisor of the moment, as the worker's loop sees it."""

    def __init__(self, control: ControlChannel) -> None:
        """``control`` is the line to the supervisor that started this process."""
        self._control: ControlChannel | None = control
        self._listener: socket.socket | None = None
        self._outlive = False
        self.changed: Callable[[int, bool], None] = _nobody_asks
        """Called with the line's descriptor, -1 for none, and whether to outlive its other end."""
        self.handing: int | None = None
        """The socket that came with a ``HandOver``; whoever takes it, owns it."""
        # Whoever started us, or root: asked now, as the walls may make us another user.
        self._masters = (0, os.getuid())
        self._poll = select.epoll()
        self._poll.register(control.fileno(), select.EPOLLIN)

    def listen(self, directory: str, domid: Domid, devid: Devid) -> None:
        """Be there for later supervisors; before the walls go up.  Raises ``OSError``."""
        self._listener = _listen(directory, socket_name(domid, devid, os.getpid()))

    def fileno(self) -> int:
        """Polls readable when ``receive`` has something to do; always the same."""
        return self._poll.fileno()

    @property
    def line(self) -> int:
        """The descriptor of the line to the supervisor; -1: there is none."""
        return -1 if self._control is None else self._control.fileno()

    def send(self, message: FromWorker) -> bool:
        """Tell the supervisor; false when there is none, or it does not listen."""
        return self._control is not None and self._control.send(message)

    def receive(self) -> FromSupervisor | FromWorker | None:
        """The next order, or ``None`` when there is none now.

        Raises ``EOFError`` when the supervisor is gone and did not want to be outlived,
        ``ControlError`` when it talks nonsense.
        """
        if self._control is None:
            self._meet()
            return None
        try:
            order, descriptor = self._control.receive_with()
        except EOFError:
            if self._listener is None or not self._outlive:
                raise
            log.info("the supervisor is gone; serving on without one")
            self.changed(-1, True)
            self._control.close()
            self._control = None
            self._poll.register(self._listener.fileno(), select.EPOLLIN)
            return None
        if isinstance(order, HandOver):
            self.handing = descriptor
        elif descriptor is not None:
            os.close(descriptor)
        if isinstance(order, Outlive):
            self._outlive = True
            self.changed(self._control.fileno(), True)
            return None
        return order

    def await_record(self) -> None:
        """Wait until the supervisor has this process on record, which it says by ``Outlive``.

        Raises ``EOFError`` when it is gone, or wants us to end; ``ControlError``.
        """
        while not self._outlive:
            self._poll.poll()
            if self.receive() == Stop():
                raise EOFError

    def _meet(self) -> None:
        """Take the first who has come, if he may order us about."""
        assert self._listener is not None  # noqa: S101 -- else no supervisor is ever missed
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # hung up already
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _pid, user, _group = _UCRED.unpack(credentials)
        if user not in self._masters:
            log.warning("user %d wants to be the supervisor; hung up", user)
            connection.close()
            return
        self.changed(connection.fileno(), True)
        self._poll.unregister(self._listener.fileno())
        self._control = ControlChannel(connection)
        self._poll.register(connection.fileno(), select.EPOLLIN)

    def resume(self, control: int, *, outlive: bool) -> None:
        """Go on as an earlier process of this worker has left it, which noted it by ``changed``."""
        if self._control is not None and control != self._control.fileno():
            self._control.leave()
            self._control = None
        if self._control is None and control >= 0:
            self._control = ControlChannel(socket.socket(fileno=control))
        self._outlive = outlive
        # The same object as before: its number is the keeper's, and stays what it is.
        for end in (self._control, self._listener):
            if end is not None:
                with contextlib.suppress(OSError):
                    self._poll.unregister(end.fileno())
        waiting = self._control or self._listener
        assert waiting is not None  # noqa: S101 -- it listens from its start
        self._poll.register(waiting.fileno(), select.EPOLLIN)

    def close(self) -> None:
        """Hang up and listen no more."""
        self._poll.close()
        for end in (self._listener, self._control):
            if end is not None:
                end.close()
