"""A QEMU as a process, with its monitor on a pair of sockets that has no name anywhere."""

from __future__ import annotations

import contextlib
import hashlib
import re
import select
import socket
import subprocess
import time
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

from backend.channel.qmp import Monitor, MonitorError, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

DEADLINE: Final = 300.0
"""Seconds until what should come counts as lost: a QEMU may itself run on an emulated processor."""

Stream: TypeAlias = int | IO[bytes]
"""What a process has as its standard input or output."""

MEMORY: Final = 16 << 20
MACHINE: Final = (
    *("-M", "pc", "-accel", "tcg", "-m", f"{MEMORY >> 20}", "-S"),
    *("-nodefaults", "-display", "none"),
    # Its time stands still while the machine does, so that its state is always the same bytes.
    *("-rtc", "base=2001-02-03,clock=vm"),
)


class WayError(Exception):
    """The state did not get there, or not as it was; the text says what QEMU said."""


FAULTS: Final = (WayError, Refused, MonitorError, OSError)
"""What trying an entry raises where it fails."""


def version(command: Sequence[str]) -> tuple[int, int]:
    """Major and minor version.  Raises ``OSError``, ``WayError``."""
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+)\.(\d+)", said.stdout)
    if found is None:
        raise WayError(f"{command[0]} --version says {said.stdout!r}")
    return int(found[1]), int(found[2])


class Qemu:
    """A machine that does not run yet; a context manager that ends it by SIGKILL."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *arguments: str,
        machine: Sequence[str] = MACHINE,
        descriptors: Sequence[int] = (),
        monitored: bool = True,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream | None = None,
    ) -> None:
        """``descriptors`` are open in it under their numbers; ``stdout`` is the log if not given.

        One that is not ``monitored`` has the monitors that its arguments give it.  Raises
        ``MonitorError``.
        """
        self._log: Final = log
        ours, theirs = socket.socketpair()
        monitor = (
            *("-chardev", f"socket,id=harness,fd={theirs.fileno()}"),
            *("-mon", "chardev=harness,mode=control"),
            *("-global", "migration.x-events=on"),
        )
        with theirs, log.open("wb") as out:
            self.process: Final = subprocess.Popen(
                [*command, *machine, *(monitor if monitored else ()), *arguments],
                pass_fds=[*descriptors, theirs.fileno()],
                stdin=stdin,
                stdout=out if stdout is None else stdout,
                stderr=out,
            )
        self._socket: Final = ours
        self._monitor: Final = Monitor(ours, DEADLINE)
        self._events = 0
        self._monitor.on_event = self._heard
        if monitored:
            try:
                self._monitor.negotiate()
            except BaseException:
                self.kill()
                raise

    def _heard(self, _event: object) -> None:
        self._events += 1

    def execute(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 -- JSON
        """What the command returns.

        ``_`` in an argument's name is ``-``.  Raises ``Refused``, and ``WayError`` where QEMU has
        ended.
        """
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        try:
            return self._monitor.execute(command, named)
        except MonitorError as error:
            raise WayError(f"{command}: {error}; {self.said()}") from error

    def pass_descriptor(self, descriptor: int) -> None:
        """For the next command that takes one: it comes with a space between two commands."""
        socket.send_fds(self._socket, [b" "], [descriptor])

    def take(self, descriptor: int) -> str:
        """Give it a descriptor to migrate to: the address.  Raises ``Refused``, ``WayError``."""
        self.pass_descriptor(descriptor)
        self.execute("getfd", fdname="state")
        return "fd:state"

    @property
    def status(self) -> str:
        """What ``query-status`` says."""
        return str(self.execute("query-status")["status"])

    def await_migration(self, *wanted: str) -> dict[str, Any]:
        """What ``query-migrate`` says, once its status is one of ``wanted``.

        Raises ``WayError`` for another end of it, with QEMU's own error.
        """
        deadline = time.monotonic() + DEADLINE
        while True:
            seen = self._events
            found: dict[str, Any] = self.execute("query-migrate")
            status = found.get("status")
            if status in wanted:
                return found
            if status in {"completed", "failed", "cancelled"}:
                raise WayError(f"{status}: {found.get('error-desc', self.said())}")
            while self._events == seen:
                if time.monotonic() > deadline:
                    raise WayError(f"the migration stays {status}; {self.said()}")
                try:
                    self._monitor.hear()
                except MonitorError as error:
                    raise WayError(f"{error}; {self.said()}") from error
                if self._events == seen:
                    select.select([self._socket], [], [], deadline - time.monotonic())

    def migrate(self, uri: str) -> None:
        """Send the state there.  Raises ``Refused``, ``WayError`` with QEMU's own error."""
        self.execute("migrate", uri=uri)
        self.await_migration("completed")

    def devices(self, scratch: Path) -> bytes:
        """The state of its devices."""
        path = scratch / "devices"
        self.execute("xen-save-devices-state", filename=str(path))
        state = path.read_bytes()
        path.unlink()
        return state

    def memory(self, scratch: Path) -> str:
        """The SHA-256 of its memory."""
        path = scratch / "memory"
        self.execute("pmemsave", val=0, size=MEMORY, filename=str(path))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.unlink()
        return digest

    def said(self) -> str:
        """Its output so far, in a line."""
        text = " ".join(self._log.read_text(errors="replace").split())
        return f"QEMU said: {text}" if text else "QEMU said nothing"

    def quit(self) -> None:
        """End it in order: with it end the programs that it started, whose input is over."""
        self.execute("quit")
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise WayError(f"QEMU does not end; {self.said()}") from None

    def kill(self) -> None:
        """End it at once."""
        self._socket.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.kill()
