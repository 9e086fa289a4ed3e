"""In a guest: the contract suite's agents, by number, with the console as their pipe.

A line from Dom0 is ``@NUMBER start DOMID``, ``@NUMBER kill``, ``@NUMBER close``, or ``@NUMBER ask``
and a request; a line to Dom0 is ``@NUMBER`` and an answer, or ``@NUMBER ended STATUS``.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
AGENT = SOURCE / "tests" / "contract" / "agent.py"


class Agents:
    """The agents that run."""

    def __init__(self, console: int) -> None:
        self._console = console
        self._received: dict[int, bytes] = {console: b""}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._names: dict[int, str] = {}

    def turn(self) -> None:
        """Wait for something to read, and pass it on."""
        for descriptor in select.select(list(self._received), [], [])[0]:
            data = os.read(descriptor, 1 << 16)
            *lines, self._received[descriptor] = (self._received[descriptor] + data).split(b"\n")
            if descriptor == self._console:
                for line in lines:
                    self._obey(line.decode())
                continue
            name = self._names[descriptor]
            for line in lines:
                self._say(f"{name} {line.decode()}")
            if not data:
                del self._received[descriptor], self._names[descriptor]
                self._say(f"{name} ended {self._reap(name)}")

    def _obey(self, line: str) -> None:
        name, _, order = line.partition(" ")
        word, _, rest = order.partition(" ")
        if not name.startswith("@"):
            return
        if word == "start":
            self._start(name, rest)
        elif word == "kill":
            self._running[name].kill()
        else:
            pipe = self._running[name].stdin
            assert pipe is not None
            if word == "close":
                pipe.close()
            else:
                pipe.write(f"{rest}\n".encode())

    def _start(self, name: str, domid: str) -> None:
        process = subprocess.Popen(
            [sys.executable, str(AGENT), "xen", domid],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            bufsize=0,
        )
        assert process.stdout is not None
        self._running[name] = process
        self._names[process.stdout.fileno()] = name
        self._received[process.stdout.fileno()] = b""

    def _reap(self, name: str) -> int:
        process = self._running.pop(name)
        status = process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
        return status

    def _say(self, line: str) -> None:
        data = f"{line}\n".encode()
        while data:
            data = data[os.write(self._console, data) :]


if __name__ == "__main__":
    agents = Agents(os.open("/dev/hvc0", os.O_RDWR | os.O_NOCTTY))
    while True:
        agents.turn()
