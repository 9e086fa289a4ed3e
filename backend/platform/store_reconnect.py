"""Keeps a connection to XenStore: notices its end, makes it anew, sets watches again.

One thread reads and reconnects.  Between connections, calls fail at once.  A new connection is used
only when the daemon has acknowledged all watches, so a daemon that accepts and never answers counts
as unreachable.  Pauses between attempts grow until an answer has come.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import threading
import time
from typing import TYPE_CHECKING, Final

from pyxs.client import Op

from backend.platform.store_link import Link, Reply, lost
from backend.platform.store_view import encode_watched_path
from protocol.xenpv.ports import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.platform.store_transport import Channel

log = logging.getLogger("backend.platform.store")

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 5.0
"""Seconds before attempts to connect again: the first, and what doubling leads to."""


class Connector:
    """The connection of one store, and the watches that shall be set on it."""

    def __init__(
        self,
        open_channel: Callable[[], Channel],
        timeout: float,
        on_event: Callable[[str, str, list[str]], None],
    ) -> None:
        """Connect.  ``on_event`` gets path, token, and all paths watched with that token.

        Raises ``StoreUnavailable``.
        """
        self._open_channel = open_channel
        self._timeout = timeout
        self._on_event = on_event
        self._lock = threading.Lock()
        self._watches: dict[str, list[str]] = {}
        self._reason = ""
        self._closing = False
        try:
            channel = open_channel()
        except OSError as error:
            raise lost(str(error)) from None
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._link: Link | None = Link(channel, self._arrived, self._wake)
        self._unset = 0
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._run, name="xenstore-client", daemon=True)
        self._thread.start()

    def link(self) -> Link:
        """The connection.  Raises ``StoreUnavailable`` when there is none to use."""
        with self._lock:
            return self._usable()

    def watch(self, path: str, token: str) -> None:
        """Set a watch, now and on each later connection; after an error it is not set."""
        payload = _watch_payload(path, token)
        with self._lock:
            if path in self._watches.get(token, ()):
                raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), path)
            link = self._usable()
            number, reply = link.send(Op.WATCH, payload)
            # From now on its events are wanted: they can come before the reply.
            self._watches.setdefault(token, []).append(path)
        try:
            link.result(number, reply, self._timeout)
        except OSError as error:
            error.filename = path
            with self._lock:
                self._forget(path, token)
                # The daemon, or a new one, may have it set all the same.
                self._send_quietly(Op.UNWATCH, payload)
            raise

    def unwatch(self, path: str, token: str) -> None:
        """Unset a watch, now and for later connections."""
        payload = _watch_payload(path, token)
        with self._lock:
            if path not in self._watches.get(token, ()):
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            self._forget(path, token)
            try:
                link = self._usable()
                number, reply = link.send(Op.UNWATCH, payload)
            except StoreUnavailable:
                # A connection that is being made anew may have it among those to set.
                self._send_quietly(Op.UNWATCH, payload)
                return
        try:
            link.result(number, reply, self._timeout)
        except StoreUnavailable:
            pass  # gone with its connection
        except OSError as error:
            error.filename = path
            raise

    def close(self) -> None:
        """Disconnect for good."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._wake()
        self._thread.join()
        os.close(self._wake_fd)

    # The rest, but for _wake and what says so, runs in the thread.

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._closing:
            link = self._link
            if link is None:
                self._sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                if not self._closing:
                    self._connect()
                continue
            try:
                reason = self._serve(link)
            except Exception:
                log.exception("the connection to XenStore met an unexpected error")
                reason = "an unexpected error, see the log"
            if link.proved:
                pause = FIRST_PAUSE
            self._drop(link, reason)

    def _serve(self, link: Link) -> str:
        """Send and receive until the connection ends; returns why it did."""
        poll = select.poll()
        poll.register(self._wake_fd, select.POLLIN)
        poll.register(link.fd, select.POLLIN)
        while not self._closing:
            if link.broken:
                return link.broken
            poll.modify(link.fd, select.POLLIN | (select.POLLOUT if link.wants_to_send else 0))
            for fd, mask in poll.poll(self._patience()):
                if fd == self._wake_fd:
                    os.eventfd_read(fd)
                    continue
                if mask & select.POLLOUT:
                    link.flush()
                if mask & ~select.POLLOUT:
                    link.receive()
            if self._unset and time.monotonic() >= self._deadline:
                return "the daemon did not answer while watches were set again"
        return "closed"

    def _patience(self) -> float | None:
        """Milliseconds to poll: for ever, unless watches are being set again."""
        return max(0.0, self._deadline - time.monotonic()) * 1000 + 1 if self._unset else None

    def _sleep(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._wake_fd, select.POLLIN)
        if poll.poll(seconds * 1000):
            os.eventfd_read(self._wake_fd)

    def _connect(self) -> None:
        try:
            link = Link(self._open_channel(), self._arrived, self._wake)
        except OSError as error:
            log.debug("XenStore is still unreachable: %s", error)
            self._reason = str(error)
            return
        with self._lock:
            self._link = link
            wanted = [(path, token) for token, paths in self._watches.items() for path in paths]
            self._unset = len(wanted)
            self._deadline = time.monotonic() + self._timeout
            for path, token in wanted:
                self._send_quietly(Op.WATCH, _watch_payload(path, token), self._set_again)
        if not wanted:
            log.warning("XenStore is connected again")

    def _set_again(self, reply: Reply) -> None:
        """The answer to a watch of a new connection."""
        if reply.error is not None:
            if self._link is not None:
                self._link.abandon(f"a watch could not be set again: {reply.error}")
            return
        with self._lock:
            self._unset -= 1
            if self._unset:
                return
        log.warning("XenStore is connected again, all watches are set")

    def _drop(self, link: Link, reason: str) -> None:
        with self._lock:
            self._link = None
            self._reason = reason
            self._unset = 0
        if not self._closing:
            log.warning("XenStore is lost, connecting again: %s", reason)
        link.close(reason)

    def _arrived(self, raw_path: bytes, raw_token: bytes) -> None:
        path = raw_path.decode("ascii", "surrogateescape")
        token = raw_token.decode("utf-8", "surrogateescape")
        with self._lock:
            watched = list(self._watches.get(token, ()))
        if watched:
            self._on_event(path, token, watched)

    # Any thread, with the lock held:

    def _usable(self) -> Link:
        if self._closing:
            raise lost("the store was closed")
        if self._link is None or self._unset:
            raise lost(self._reason)
        return self._link

    def _forget(self, path: str, token: str) -> None:
        self._watches[token].remove(path)
        if not self._watches[token]:
            del self._watches[token]

    def _send_quietly(
        self, op: int, payload: bytes, done: Callable[[Reply], None] | None = None
    ) -> None:
        """Send on whatever connection there is; one that is ending says so by itself."""
        if self._link is not None:
            try:
                self._link.send(op, payload, done=done)
            except StoreUnavailable as error:
                self._link.abandon(str(error))

    def _wake(self) -> None:
        os.eventfd_write(self._wake_fd, 1)


def _watch_payload(path: str, token: str) -> bytes:
    raw = token.encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise OSError(errno.EINVAL, "a watch's token has no NUL")
    return encode_watched_path(path) + b"\0" + raw + b"\0"
