"""``serve``: the same file server on a plain socket, for any 9P client and without Xen."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import stat
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from backend import logs
from backend.channel.listening import listen_all
from backend.commands.failure import CommandError
from backend.commands.options import add_config, add_no_sandbox, add_verbose, load_config
from backend.commands.share_options import add_share, share_of
from backend.confinement.walls import Refused, missing
from backend.exports import ExportError, check_share

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from backend.config import Config
    from backend.share import Share

HELP = "serve a directory on a unix or TCP socket, to any client of 9P2000.L or .u"
EXAMPLE = "xen-fileproxy serve --path /srv/files --listen unix:/tmp/files.sock"

log = logging.getLogger(__name__)

_CLIENTS: Final = 64
"""Connections at once; each is a process."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        required=True,
        help="unix:SOCKET or tcp:HOST:PORT; there is no authentication, so mind who can connect",
    )
    parser.add_argument("--trace", metavar="FILE", help="write all 9P messages to this new capture")
    add_share(parser)
    add_config(parser)
    add_no_sandbox(parser)
    add_verbose(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    from backend.trace import TraceWriter

    config = load_config(args)
    logs.set_up(config.log_level)
    share, trace = share_of(args), args.trace and os.path.abspath(args.trace)
    why = check_share(share, config.allowed_exports)
    if why is not None:
        raise CommandError(why)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listen(args.listen, stack))
        channels = _listen_for_channels(share, stack)
        if trace:
            TraceWriter.create(trace)
        Server(config, share, trace, channels).run(listener)
    return 0


def _listen_for_channels(share: Share, stack: contextlib.ExitStack) -> Mapping[str, socket.socket]:
    """The sockets of the share's channels: all 9P clients' processes accept from them.

    ``stack`` closes and removes them.  Raises ``CommandError``.
    """
    try:
        listeners = listen_all(share.channels)
    except ExportError as error:
        raise CommandError(str(error)) from error
    for channel in share.channels:
        stack.callback(_unlink, channel.socket)
        stack.enter_context(listeners[channel.name])
    return listeners


def listen(address: str, stack: contextlib.ExitStack) -> socket.socket:
    """A listening socket; what it leaves in the file system is removed by ``stack``.

    Raises ``CommandError``.
    """
    kind, _, rest = address.partition(":")
    try:
        if kind == "unix" and rest:
            listener = _listen_unix(rest)
            stack.callback(_unlink, rest)
            return listener
        host, _, port = rest.rpartition(":")
        if kind == "tcp" and host and port.isascii() and port.isdigit() and int(port) < 65536:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host.strip("[]"), int(port)), family=family)
    except OSError as error:
        raise CommandError(f"--listen {address}: {error.strerror or error}") from error
    raise CommandError(f"--listen {address}: it must be unix:SOCKET or tcp:HOST:PORT")


def _listen_unix(path: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(path).st_mode) and not _answers(path):
            os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        listener.listen(_CLIENTS)
    except OSError:
        listener.close()
        raise
    return listener


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
    return True


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


class Server:
    """Accepts clients, and gives each a process of its own: they share no limit and no fate."""

    def __init__(
        self,
        config: Config,
        share: Share,
        trace: str | None,
        channels: Mapping[str, socket.socket],
    ) -> None:
        """``channels`` are the sockets of the share's channels, by name."""
        self._config = config
        self._channels = channels
        self._share = share
        self._trace = trace
        self._children: set[int] = set()
        self._next = 0
        self._stopping = False

    def run(self, listener: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT; then end the clients' processes."""
        reader, writer = socket.socketpair()
        # The clients' processes hold the read end: when this process goes, however, they hear it.
        life_reader, life_writer = os.pipe()
        with reader, writer, selectors.DefaultSelector() as selector:
            reader.setblocking(False)
            writer.setblocking(False)
            listener.setblocking(False)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, lambda _number, _frame: None)
            signal.set_wakeup_fd(writer.fileno())
            selector.register(reader, selectors.EVENT_READ)
            selector.register(listener, selectors.EVENT_READ)
            if not self._config.confinement.walls:
                _warn({})
            log.info("serving %s on %s", self._share.shown, listener.getsockname())
            while not self._stopping:
                for key, _ in selector.select():
                    if key.fileobj is reader:
                        self._signalled(reader.recv(64))
                    else:
                        self._accept(listener, life_reader, [life_writer, reader, writer])
            os.close(life_writer)
            os.close(life_reader)
            signal.set_wakeup_fd(-1)
            for child in self._children:
                os.waitpid(child, 0)

    def _signalled(self, numbers: bytes) -> None:
        for child in list(self._children):
            if os.waitpid(child, os.WNOHANG)[0]:
                self._children.discard(child)
        self._stopping |= any(number in (signal.SIGTERM, signal.SIGINT) for number in numbers)

    def _accept(
        self, listener: socket.socket, life_fd: int, ours: list[int | socket.socket]
    ) -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            if len(self._children) >= _CLIENTS:
                log.warning("a client is turned away: %d are connected", _CLIENTS)
                return
            self._next += 1
            child = os.fork()
            if child == 0:
                signal.set_wakeup_fd(-1)
                for end in (listener, *ours):
                    os.close(end) if isinstance(end, int) else end.close()
                self._serve(client, life_fd)
            self._children.add(child)

    def _serve(self, client: socket.socket, life_fd: int) -> NoReturn:
        """The child's whole life."""
        code = 1
        try:
            logs.set_up(self._config.log_level, f"client {self._next}")
            log.info("connected")
            log.info("%s", self._serve_client(client, life_fd))
            code = 0
        except (ExportError, Refused) as error:
            log.error("%s", error)  # noqa: TRY400 -- its text says all there is
        except Exception:
            log.exception("the client cannot be served")
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _serve_client(self, client: socket.socket, life_fd: int) -> str:
        from backend.confinement.plan import plan_for
        from backend.confinement.sandbox import Sandbox
        from backend.fileserver.stream import RING_BYTES
        from backend.trace import TraceWriter
        from backend.worker.sessions import open_session
        from backend.worker.start import prepare_process
        from backend.worker.stream_service import StreamService
        from protocol.xenpv.ids import Devid, Domid

        listening = [listener.fileno() for listener in self._channels.values()]
        prepare_process([client.fileno(), life_fd, *listening])
        confinement = self._config.confinement
        sandbox = Sandbox(plan_for(self._share, confinement.walls), confinement.required_walls)
        sandbox.enter()
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limits = self._config.limits
        session = open_session(
            self._share,
            self._config.allowed_exports,
            quota_dir=self._config.quota_dir,
            max_fids=limits.max_fids,
            max_open_files=min(
                limits.max_open_files, self._share.max_open_files or limits.max_open_files
            ),
            max_msize=limits.max_msize,
            listeners=self._channels,
        )
        trace = self._trace and TraceWriter.open(self._trace, Domid(0), Devid(self._next))
        service = StreamService(client, session, RING_BYTES, trace or None)
        self._say_missing(sandbox.shut())
        return service.run(life_fd)

    def _say_missing(self, walls: dict[str, str]) -> None:
        """Warn of walls that do not hold: once, for all clients' processes have the same kernel."""
        if walls and self._next == 1:
            _warn(walls)


def _warn(walls: Mapping[str, str]) -> None:
    for what in missing(walls):
        log.warning("sandbox: %s", what)
