"""One worker process as the supervisor sees it: started or adopted, heard, stopped, reaped."""

from __future__ import annotations

import contextlib
import logging
import signal
from typing import TYPE_CHECKING, Final

from backend.supervisor.policy import WorkerPhase
from backend.worker.control import (
    ControlError,
    Failed,
    HandOver,
    Kept,
    Outlive,
    Prepared,
    Query,
    Ready,
    Report,
    Serving,
    Stop,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.config import Timeouts
    from backend.supervisor.processes import Process
    from backend.supervisor.reactor import Reactor
    from backend.worker.control import ControlChannel

log = logging.getLogger(__name__)

_PACKETS_PER_TURN: Final = 16
"""What is heard of one worker before the loop turns to the others."""

_BAD_SYSTEM_CALL: Final = -signal.SIGSYS


class Worker:
    """A process that serves a device; ``changed`` is called whenever its ``phase`` has changed."""

    def __init__(
        self,
        device: str,
        process: Process,
        control: ControlChannel,
        reactor: Reactor,
        timeouts: Timeouts,
        *,
        changed: Callable[[], None],
    ) -> None:
        """A process that was just started, for ``device`` as each log line names it."""
        self._device = device
        self._process = process
        self._control = control
        self._reactor = reactor
        self._timeouts = timeouts
        self._changed = changed
        self.phase = WorkerPhase.STARTING
        self.pid: Final = process.pid
        self.failure: str | None = None
        """Why it ended, or ends, unless it was told to."""
        self.ready: Ready | None = None
        self.started = reactor.now()
        self.version: str | None = None
        """The program's that it runs, if not ours."""
        self.adopted: float | None = None
        """When we took it over from an earlier supervisor; by the reactor's clock."""
        self.outlives = False
        """It is on record, and serves on when we end."""
        self.recovers = False
        """A keeper has its descriptors and its journal, for whoever goes on."""
        self.announced: Callable[[Prepared | Serving | Kept], None] = _nobody_asks
        """Called with what it says while it hands over, or takes over."""
        self._told = False
        self._reports: dict[int, Callable[[Report], None]] = {}
        self._end_fd = process.end_fd
        reactor.register(self._end_fd, self._reap)
        reactor.register(self._control.fileno(), self._hear)
        self._deadline = reactor.after(
            timeouts.start,
            lambda: self.give_up(f"worker did not serve the device within {timeouts.start:g} s"),
        )

    def adopt(self, ready: Ready, started: float, version: str, *, recovers: bool) -> None:
        """It was started by a supervisor before us, and serves since then."""
        self.ready, self.started, self.version = ready, started, version
        self.recovers = recovers
        self.adopted = self._reactor.now()
        self.outlives = True
        self._serves(ready)

    def outlive(self) -> bool:
        """Let it serve on when we end; false when it has not heard of it."""
        self.outlives = self._control.send(Outlive())
        return self.outlives

    def leave(self) -> bool:
        """The supervisor ends, and the worker too; or it serves on, and this is true."""
        if self.outlives and self.phase is WorkerPhase.SERVING:
            return True
        self.kill()
        return False

    def stop(self) -> None:
        """Ask it to let go and exit; it is killed if it does not."""
        if self.phase in (WorkerPhase.STOPPING, WorkerPhase.NONE):
            return  # it is on its way, or was reaped before its device looked at it
        self._told = True
        self._control.send(Stop())
        self._expect_exit()

    def hand_over(self, descriptor: int) -> bool:
        """Have it give all to the process that a socket leads to; false when it does not hear."""
        return self._control.send_with(HandOver(), descriptor)

    def replaced(self) -> None:
        """Another process has all it had, so that it ends, or has ended."""
        self._told = True
        if self.phase is WorkerPhase.SERVING:
            self._expect_exit()

    def dismiss(self, reason: str) -> None:
        """As ``stop``, for a reason that its device is to be closed with."""
        self.failure = self.failure or reason
        self.stop()

    def kill(self) -> None:
        """End it now."""
        if self.phase is not WorkerPhase.NONE:
            self._process.kill()

    def give_up(self, reason: str) -> None:
        """End it now, as it is of no use."""
        self.failure = self.failure or reason
        self.kill()
        self._expect_exit()

    def query(self, number: int, answer: Callable[[Report], None]) -> bool:
        """Ask for its figures; false when it has not even read earlier questions."""
        if self.phase is not WorkerPhase.SERVING or not self._control.send(Query(number)):
            return False
        self._reports[number] = answer
        return True

    def forget_query(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        self._reports.pop(number, None)

    def _expect_exit(self) -> None:
        self.phase = WorkerPhase.STOPPING
        self._deadline.cancel()
        self._deadline = self._reactor.after(self._timeouts.stop, self._kill_late)
        self._changed()

    def _kill_late(self) -> None:
        log.warning("%s: worker %d does not stop; killed", self._device, self.pid)
        self.kill()

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
                self.give_up(f"worker talks nonsense: {error}")
                return
            if message is None:
                return
            self._take(message)

    def _take(self, message: object) -> None:
        if isinstance(message, Ready) and self.phase is WorkerPhase.STARTING:
            self._serves(message)
            self._changed()
        elif isinstance(message, Failed):
            self.failure = self.failure or message.reason
            if self.phase is not WorkerPhase.STOPPING:
                self._expect_exit()
        elif isinstance(message, Prepared | Serving | Kept):
            self.announced(message)
        elif isinstance(message, Report):
            answer = self._reports.pop(message.number, None)
            if answer is not None:
                answer(message)

    def _serves(self, ready: Ready) -> None:
        self.ready = ready
        self.phase = WorkerPhase.SERVING
        self._deadline.cancel()

    def _reap(self) -> None:
        self._reactor.unregister(self._end_fd)
        if self._control.fileno() >= 0:
            # What it said last is still there to be read, and may be the reason.
            self._last_words()
            self._reactor.unregister(self._control.fileno())
        self._deadline.cancel()
        exit_code = self._process.exit_code()
        if self.failure is None and not self._told:
            self.failure = f"worker died: {_how(exit_code)}"
        self._process.close()
        self._control.close()
        self._reports.clear()
        self.phase = WorkerPhase.NONE
        self._changed()

    def _last_words(self) -> None:
        with contextlib.suppress(EOFError, ControlError):
            while (message := self._control.receive()) is not None:
                if isinstance(message, Failed):
                    self.failure = self.failure or message.reason


def _nobody_asks(message: Prepared | Serving | Kept) -> None:
    """While it neither hands over nor takes over."""


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return "nobody knows how"
    if exit_code == _BAD_SYSTEM_CALL:
        return "it made a system call that the sandbox forbids; a guest may have broken into it"
    return f"signal {-exit_code}" if exit_code < 0 else f"exit status {exit_code}"
