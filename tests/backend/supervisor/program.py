"""``xen-fileproxy`` as a child process, watched through its log and its status socket."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from backend.commands.supervisor import ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE = 20.0
"""Seconds after which what was expected does not come any more."""


class Program:
    """A command that runs until it is told to stop; its standard error is read all the time."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "backend.cli", *arguments]
        self.process = subprocess.Popen(
            # Whatever becomes of the test, the program does not outlive it.
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for_line(self, pattern: str, since: int = 0) -> str:
        """The first line from number ``since`` on that matches, once there is one."""

        def found() -> str | None:
            return next((line for line in self.lines[since:] if re.search(pattern, line)), None)

        with self._news:
            self._news.wait_for(lambda: found() or self._ended, PATIENCE)
            line = found()
            assert line is not None, f"no line matches {pattern!r}:\n" + "\n".join(self.lines)
            return line

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """End it by a signal; the exit status.  Nothing of its session may be left."""
        status = self.end(number)
        # The fork server and its tracker notice their parent's end by themselves.
        wait_until(lambda: not self.session(), "processes are left behind", self.session)
        self._reader.join(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status

    def end(self, number: signal.Signals) -> int:
        """End it by a signal; the exit status.  Workers may serve on."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def session(self) -> list[int]:
        """All processes of its session that are alive."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._has(pid)]

    def _has(self, pid: int) -> bool:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return False
        return int(fields[3]) == self.process.pid and fields[0] != "Z"

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


class Supervisor(Program):
    """``xen-fileproxy run`` on an embedded hypervisor."""

    def __init__(self, platform: str, run_dir: Path, *arguments: str) -> None:
        self.run_dir = run_dir
        super().__init__("run", "--platform", platform, "--run-dir", str(run_dir), "-v", *arguments)
        self.wait_for_line("serving /local/domain/0/backend/xen_9pfs")

    def status(self) -> dict[str, Any]:
        """What ``xen-fileproxy status --json`` prints."""
        return ask(str(self.run_dir / "status.sock"))

    def device(self, domid: int, devid: int = 0) -> dict[str, Any] | None:
        """One device of it."""
        for device in self.status()["devices"]:
            if (device["domid"], device["devid"]) == (domid, devid):
                found: dict[str, Any] = device
                return found
        return None


def wait_until(
    condition: Callable[[], object], what: str, show: Callable[[], object] = str
) -> None:
    """Look again and again until ``condition`` holds, with pauses that get longer."""
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()  # never set: a wait with a bound
    delay = 0.001
    while not condition():
        assert time.monotonic() < deadline, f"{what}: {show()}"
        pause.wait(delay)
        delay = min(2 * delay, 0.1)
