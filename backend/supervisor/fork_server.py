"""The process that workers are forked from: warm, with their modules loaded.

It is a child of the supervisor's and ends with it (it polls a pipe that we hold); workers do not,
see ``worker.supervision``.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.process
import multiprocessing.util
import signal
import sys
from typing import TYPE_CHECKING, Final

from backend.supervisor.processes import ForkedProcess
from backend.worker import control
from backend.worker.control import ControlChannel
from backend.worker.entry import enter

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from backend.worker.settings import WorkerSettings

_PRELOADED: Final = ("backend.worker.start", "backend.commands.failure", "argparse")
"""What workers need, and what our main module needs: multiprocessing runs that in each child."""

_PLATFORMS: Final = {
    "embedded": ("backend.platform.embedded.platform",),
    "xen": (
        "backend.platform.xen.platform",
        "backend.platform.xen.event_handle",
        "backend.platform.xen.grant_handles",
    ),
}
"""What a platform's handles need, so that no worker has to load it."""


class WorkerError(Exception):
    """No process can be started; the text says why."""


class ForkServer:
    """Starts processes from a warm one that has the worker's modules loaded."""

    def __init__(self, platform: str) -> None:
        own = _PLATFORMS.get(platform.partition(":")[0], ())
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([*_PRELOADED, *own])
        # What is ignored stays so across exec: no signal can end a worker between its fork and
        # the moment it ignores them itself.
        with contextlib.ExitStack() as stack:
            for number in (signal.SIGINT, signal.SIGTERM):
                stack.callback(signal.signal, number, signal.signal(number, signal.SIG_IGN))
            stack.enter_context(_our_path())
            multiprocessing.forkserver.ensure_running()

    def start(
        self, settings: WorkerSettings, predecessor: socket.socket | None = None
    ) -> tuple[ForkedProcess, ControlChannel]:
        """A new worker, and our end of its control channel.

        ``predecessor`` leads to the process that serves the device now, if one does.
        Raises ``WorkerError``.
        """
        try:
            ours, theirs = control.pair()
        except OSError as error:
            raise WorkerError(error.strerror) from error
        with theirs:
            process = self._context.Process(target=enter, args=(settings, theirs, predecessor))
            try:
                process.start()
            except (OSError, EOFError) as error:
                ours.close()
                raise WorkerError(getattr(error, "strerror", None) or "fork server died") from error
        # At our exit multiprocessing would wait for all that it has started.
        multiprocessing.process._children.discard(process)  # type: ignore[attr-defined]  # noqa: SLF001
        return ForkedProcess(process), ControlChannel(ours)


@contextlib.contextmanager
def _our_path() -> Iterator[None]:
    """Have what multiprocessing starts look for modules where we do.

    The fork server is given our ``sys.path`` and does not use it (Python 3.11 at least).  Where
    that is not the interpreter's own, as in an installed program's private directory, it would
    find nothing to load, say nothing, and leave it to each worker to load everything for itself.
    """
    flags = multiprocessing.util._args_from_interpreter_flags  # type: ignore[attr-defined]  # noqa: SLF001
    # It runs "python FLAGS -c COMMAND": our own command comes first, and runs that one.
    first = f"import sys; sys.path[:] = {sys.path!r}; exec(sys.argv[2])"
    multiprocessing.util._args_from_interpreter_flags = (  # type: ignore[attr-defined]  # noqa: SLF001
        lambda: [*flags(), "-c", first]
    )
    try:
        yield
    finally:
        multiprocessing.util._args_from_interpreter_flags = flags  # type: ignore[attr-defined]  # noqa: SLF001
