"""One worker process as the supervisor sees it: started, heard, stopped, reaped."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.forkserver
import os
import signal
from typing import TYPE_CHECKING, Final

from backend.supervisor.policy import WorkerPhase
from backend.worker import control
from backend.worker.control import ControlChannel, ControlError, Failed, Query, Ready, Report, Stop
from backend.worker.entry import enter

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkServerProcess

    from backend.config import Timeouts
    from backend.supervisor.reactor import Reactor
    from backend.worker.settings import WorkerSettings

log = logging.getLogger(__name__)

_PRELOADED: Final = ("backend.worker.start", "backend.commands.failure", "argparse")
"""What workers need, and what our main module needs: multiprocessing runs that in each child."""

_PLATFORMS: Final = {
    "embedded": "backend.platform.embedded.platform",
    "xen": "backend.platform.xen.platform",
}
"""What a platform's handles need, so that no worker has to load it."""

_PACKETS_PER_TURN: Final = 16
"""What is heard of one worker before the loop turns to the others."""

_EXIT_CODE_TIME: Final = 0.5
"""Seconds the fork server has to tell a dead worker's exit code, which takes it microseconds."""

_BAD_SYSTEM_CALL: Final = -signal.SIGSYS

_UNKNOWN_EXIT: Final = 255
"""What multiprocessing makes of a fork server that died before it could tell."""


class WorkerError(Exception):
    """No process can be started; the text says why."""


class ForkServer:
    """Starts processes from a warm one that has the worker's modules loaded."""

    def __init__(self, platform: str) -> None:
        own = _PLATFORMS.get(platform.partition(":")[0])
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([*_PRELOADED, *([own] if own else [])])
        # What is ignored stays so across exec: no signal can end a worker between its fork and
        # the moment it ignores them itself.
        with contextlib.ExitStack() as stack:
            for number in (signal.SIGINT, signal.SIGTERM):
                stack.callback(signal.signal, number, signal.signal(number, signal.SIG_IGN))
            multiprocessing.forkserver.ensure_running()

    def start(self, settings: WorkerSettings) -> tuple[ForkServerProcess, ControlChannel]:
        """A new worker, and our end of its control channel.  Raises ``WorkerError``."""
        try:
            ours, theirs = control.pair()
        except OSError as error:
            raise WorkerError(error.strerror) from error
        with theirs:
            process = self._context.Process(target=enter, args=(settings, theirs))
            try:
                process.start()
            except (OSError, EOFError) as error:
                ours.close()
                raise WorkerError(getattr(error, "strerror", None) or "fork server died") from error
        return process, ControlChannel(ours)


class Worker:
    """A worker that was started; ``changed`` is called whenever its ``phase`` has changed."""

    def __init__(
        self,
        server: ForkServer,
        reactor: Reactor,
        settings: WorkerSettings,
        timeouts: Timeouts,
        changed: Callable[[], None],
    ) -> None:
        self._process, self._control = server.start(settings)
        self._reactor = reactor
        self._timeouts = timeouts
        self._changed = changed
        self.phase = WorkerPhase.STARTING
        self.settings: Final = settings
        self.failure: str | None = None
        """Why it ended, or ends, unless it was told to."""
        self.ready: Ready | None = None
        self.started = reactor.now()
        self._told = False
        self._reports: dict[int, Callable[[Report], None]] = {}
        self._pid_fd = self._open_pid()
        # Its own end, not the sentinel: that is a pipe of the fork server's, and ends with it.
        self._end_fd = self._process.sentinel if self._pid_fd is None else self._pid_fd
        reactor.register(self._end_fd, self._reap)
        reactor.register(self._control.fileno(), self._hear)
        self._deadline = reactor.after(
            timeouts.start,
            lambda: self._give_up(f"worker did not serve the device within {timeouts.start:g} s"),
        )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid or 0

    def stop(self) -> None:
        """Ask it to let go and exit; it is killed if it does not."""
        if self.phase in (WorkerPhase.STOPPING, WorkerPhase.NONE):
            return  # it is on its way, or was reaped before its device looked at it
        self._told = True
        self._control.send(Stop())
        self._expect_exit()

    def kill(self) -> None:
        """End it now."""
        if self._pid_fd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pid_fd, signal.SIGKILL)

    def query(self, number: int, answer: Callable[[Report], None]) -> bool:
        """Ask for its figures; false when it has not even read earlier questions."""
        if self.phase is not WorkerPhase.SERVING or not self._control.send(Query(number)):
            return False
        self._reports[number] = answer
        return True

    def forget_query(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        self._reports.pop(number, None)

    def _open_pid(self) -> int | None:
        try:
            return os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None  # already dead; the sentinel says so

    def _expect_exit(self) -> None:
        self.phase = WorkerPhase.STOPPING
        self._deadline.cancel()
        self._deadline = self._reactor.after(self._timeouts.stop, self._kill_late)
        self._changed()

    def _kill_late(self) -> None:
        log.warning("%s: worker %d does not stop; killed", self.settings.device, self.pid)
        self.kill()

    def _give_up(self, reason: str) -> None:
        self.failure = self.failure or reason
        self.kill()
        self._expect_exit()

    def _hear(self) -> None:
        for _ in range(_PACKETS_PER_TURN):
            try:
                message = self._control.receive()
            except EOFError:
                self._reactor.unregister(self._control.fileno())
                # It exits now; if it does not, it is of no use.
                if self.phase is not WorkerPhase.STOPPING:
                    self._expect_exit()
                return
            except ControlError as error:
                self._reactor.unregister(self._control.fileno())
                self._give_up(f"worker talks nonsense: {error}")
                return
            if message is None:
                return
            self._take(message)

    def _take(self, message: object) -> None:
        if isinstance(message, Ready) and self.phase is WorkerPhase.STARTING:
            self.ready = message
            self.phase = WorkerPhase.SERVING
            self._deadline.cancel()
            self._changed()
        elif isinstance(message, Failed):
            self.failure = self.failure or message.reason
            if self.phase is not WorkerPhase.STOPPING:
                self._expect_exit()
        elif isinstance(message, Report):
            answer = self._reports.pop(message.number, None)
            if answer is not None:
                answer(message)

    def _reap(self) -> None:
        self._reactor.unregister(self._end_fd)
        if self._control.fileno() >= 0:
            # What it said last is still there to be read, and may be the reason.
            self._last_words()
            self._reactor.unregister(self._control.fileno())
        self._deadline.cancel()
        self._process.join(_EXIT_CODE_TIME)
        if self.failure is None and not self._told:
            self.failure = f"worker died: {_how(self._process.exitcode)}"
        if self._process.exitcode is not None:
            self._process.close()
        self._control.close()
        if self._pid_fd is not None:
            os.close(self._pid_fd)
            self._pid_fd = None
        self._reports.clear()
        self.phase = WorkerPhase.NONE
        self._changed()

    def _last_words(self) -> None:
        with contextlib.suppress(EOFError, ControlError):
            while (message := self._control.receive()) is not None:
                if isinstance(message, Failed):
                    self.failure = self.failure or message.reason


def _how(exit_code: int | None) -> str:
    if exit_code is None or exit_code == _UNKNOWN_EXIT:
        return "nobody knows how"
    if exit_code == _BAD_SYSTEM_CALL:
        return "it made a system call that the sandbox forbids; a guest may have broken into it"
    return f"signal {-exit_code}" if exit_code < 0 else f"exit status {exit_code}"
