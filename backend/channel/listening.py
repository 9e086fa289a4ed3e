"""The unix sockets of channels in Dom0: made before the walls go up, taken away by whoever can."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
from typing import TYPE_CHECKING, Final

from backend.exports import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from backend.share import NamedChannel

QUEUE: Final = 16
"""Clients that may wait for their turn.  The kernel keeps them, and whatever they send, within what
it allows a socket; those that come then wait in connect(2), or hear EAGAIN."""

_UNIX_STREAM: Final = (socket.AF_UNIX, socket.SOCK_STREAM)


def listen_all(channels: Iterable[NamedChannel]) -> dict[str, socket.socket]:
    """A listening socket for each, by the channel's name.  Raises ``ExportError``.

    To be called while the process has Dom0's view of files and one thread: the umask is changed.
    """
    listeners: dict[str, socket.socket] = {}
    try:
        for channel in channels:
            try:
                listeners[channel.name] = listen(channel.socket)
            except OSError as error:
                raise ExportError(
                    f"channel {channel.name}: {channel.socket}: {error.strerror}"
                ) from error
    except BaseException:
        for listener in listeners.values():
            listener.close()
        raise
    return listeners


def listen(path: str) -> socket.socket:
    """Listen at ``path``, for this user alone (0600); its directory is made, if need be (0700).

    What an earlier process has left there is replaced.  Raises ``OSError``: EADDRINUSE where
    somebody listens, or where something else than a socket is.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        _bind(listener, path)
        listener.listen(QUEUE)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _bind(listener: socket.socket, path: str) -> None:
    directory = os.path.dirname(path)
    above = os.path.dirname(directory)
    before = os.umask(0o077)
    try:
        os.makedirs(above, exist_ok=True)
        with _locked(above):
            with contextlib.suppress(FileExistsError):
                os.mkdir(directory)
            remove(path)
            os.umask(0o177)
            listener.bind(path)
    finally:
        os.umask(before)


def unbound(channels: Iterable[NamedChannel]) -> dict[str, socket.socket]:
    """Sockets that nobody can connect to, in place of those that another process will give.

    Raises ``OSError``.
    """
    return {channel.name: socket.socket(socket.AF_UNIX) for channel in channels}


def listens_at(fd: int, path: str) -> bool:
    """Whether the descriptor is what ``listen`` makes of ``path``, in whatever process."""
    try:
        end = socket.socket(fileno=fd)
    except OSError:
        return False
    try:
        listening = end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        kind = (end.family, end.type)
        return bool(listening) and kind == _UNIX_STREAM and end.getsockname() == path
    except OSError:
        return False
    finally:
        end.detach()


def sweep(run_dir: str) -> None:
    """Remove what channels have left in their directories below ``run_dir``: of workers that have
    ended, who could not reach their own sockets any more.

    Those of other paths stay, and are replaced when somebody listens there again.
    """
    with _locked(run_dir):
        for name in filter(str.isdecimal, os.listdir(run_dir)):
            directory = os.path.join(run_dir, name)
            with contextlib.suppress(OSError):  # something else is there
                for socket_name in os.listdir(directory):
                    remove(os.path.join(directory, socket_name))
                os.rmdir(directory)


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Nobody replaces or removes sockets in what lies in ``directory`` meanwhile: between the look
    at a stale one and its end it could become somebody's, and an empty directory could be removed
    that was made for one.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def remove(path: str) -> None:
    """Remove a socket that nobody listens on any more; anything else stays.

    Raises ``OSError``: EACCES, EPERM.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if stat.S_ISSOCK(os.lstat(path).st_mode) and not _is_used(path):
            os.unlink(path)


def _is_used(path: str) -> bool:
    """Whether a process has the socket.

    Asked in a way that no listener notices: a datagram socket cannot be connected to a stream's,
    but is told so only if there is one (unix(7): EPROTOTYPE, or ECONNREFUSED).
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            return error.errno != errno.ECONNREFUSED
    return True
