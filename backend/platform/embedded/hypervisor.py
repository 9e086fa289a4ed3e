"""The embedded hypervisor as its users start and control it."""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backend.platform.embedded.handle import Handle
from backend.platform.embedded.platform import EmbeddedPlatform
from backend.platform.embedded.toolstack import dom0_store, guest_store
from backend.platform.embedded.wire import Kind
from protocol.xenpv.ids import DOM0, Domid

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_PROJECT: Final = Path(__file__).resolve().parents[3]
_START_TIMEOUT: Final = 30.0
_STOP_TIMEOUT: Final = 10.0


class HypervisorControl:
    """Dom0's control of the domains of a running hypervisor."""

    def __init__(self, rundir: str) -> None:
        """Raises ``OSError`` when no hypervisor runs in ``rundir``."""
        self.rundir: Final = rundir
        self._handle = Handle(rundir, Kind.CONTROL, DOM0)

    def create_domain(self, domid: int) -> None:
        """Create a domain, its XenStore socket and nodes.  Raises ``OSError`` (EEXIST, EINVAL)."""
        self._handle.call("create_domain", domid=domid)

    def destroy_domain(self, domid: int) -> None:
        """Destroy a domain: its handles hang up.  Raises ``OSError`` (ESRCH, EPERM for Dom0)."""
        self._handle.call("destroy_domain", domid=domid)

    def domains(self) -> list[Domid]:
        """The domains that exist, Dom0 included."""
        return [Domid(word) for word in self._handle.call("domains").words]

    def leaks(self) -> list[str]:
        """Handles, ports, grants and mappings that are still held, for people; empty when clean."""
        lines: list[str] = []
        while True:
            fields = self._handle.call("leaks", first=len(lines)).fields
            lines += fields["lines"]
            if not fields["lines"] or len(lines) >= fields["total"]:
                return lines

    def platform(self, domid: int = DOM0) -> EmbeddedPlatform:
        """The platform as domain ``domid`` sees it."""
        return EmbeddedPlatform(self.rundir, Domid(domid))

    def store_path(self, domid: int = DOM0) -> str:
        """The domain's XenStore socket, for XENSTORED_PATH."""
        if domid == DOM0:
            return dom0_store(self.rundir)
        return guest_store(self.rundir, Domid(domid))

    def close(self) -> None:
        """Hang up."""
        self._handle.close()

    def __enter__(self) -> Self:
        """Closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up."""
        self.close()


class EmbeddedHypervisor(HypervisorControl):
    """A hypervisor in a child process, and its control.  The child ends with this process."""

    def __init__(self, rundir: str, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        super().__init__(rundir)

    @classmethod
    def start(cls, rundir: str | os.PathLike[str]) -> Self:
        """Start one in ``rundir`` (made if missing) and wait until it is ready.

        Raises ``OSError`` with the reason when it cannot start.
        """
        directory = os.fspath(rundir)
        receiver, sender = os.pipe()
        try:
            process = _spawn(directory, sender)
        finally:
            os.close(sender)
        try:
            ready = _await(receiver)
            if ready != b"\n":
                raise _start_error(ready)
            return cls(directory, process)
        except BaseException:
            _end(process)
            raise

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, as in a crash, and reap."""
        self._process.kill()
        _end(self._process)

    def close(self) -> None:
        """Stop it and reap it.  Raises ``OSError`` if it failed by itself."""
        super().close()
        status = _end(self._process)
        if status > 0:
            raise OSError(errno.EIO, f"the embedded hypervisor ended with status {status}")


def _spawn(rundir: str, ready: int) -> subprocess.Popen[bytes]:
    # Its own process group: Ctrl-C is for the program, which then stops it in order.
    paths = [str(_PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __package__, rundir, str(ready)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=(ready,),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        process_group=0,
    )


def _await(receiver: int) -> bytes:
    """What the child says before it closes the pipe; empty if it dies or takes too long."""
    with os.fdopen(receiver, "rb") as pipe:
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        return pipe.read() if poll.poll(_START_TIMEOUT * 1000) else b""


def _start_error(answer: bytes) -> OSError:
    number, _, text = answer.decode(errors="replace").partition(" ")
    if number.isdigit() and text:
        return OSError(int(number), text)
    return OSError(errno.EIO, "the embedded hypervisor did not start: see its standard error")


def _end(process: subprocess.Popen[bytes]) -> int:
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    try:
        return process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise OSError(errno.ETIMEDOUT, "the embedded hypervisor did not stop") from None
