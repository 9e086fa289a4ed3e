"""The test's end of an agent: its calls as methods, with a deadline, and its death."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 20.0


class RemotePeer:
    """An agent, however it is reached: calls it by the names of its methods."""

    domid: int

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(**arguments: Any) -> Any:
            self.begin(name, **arguments)
            return self._answer()

        return call

    def begin(self, name: str, **arguments: Any) -> None:
        """Send a call without waiting for its answer."""
        self._send(json.dumps({"call": name, **arguments}))

    def finish(self) -> Any:
        """The answer of the call that was begun."""
        return self._answer()

    def _answer(self) -> Any:
        answer = json.loads(self._receive())
        if "errno" in answer:
            raise OSError(answer["errno"], answer["text"])
        return answer["result"]

    def _send(self, line: str) -> None:
        raise NotImplementedError

    def _receive(self) -> str:
        raise NotImplementedError


class Peer(RemotePeer):
    """An agent process on this machine, acting for ``domid``."""

    def __init__(self, platform: str, domid: int) -> None:
        self.domid = domid
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("agent.py")), platform, str(domid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            bufsize=0,
        )
        self._pending = b""
        self._answer()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def _receive(self) -> str:
        assert self._process.stdout is not None
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        while b"\n" not in self._pending:
            assert poll.poll(DEADLINE * 1000), "the agent does not answer"
            chunk = self._process.stdout.read(1 << 20)
            assert chunk, "the agent has ended"
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()

    def kill(self) -> None:
        """SIGKILL, and reap."""
        self._process.kill()
        self._reap()

    def close(self) -> None:
        """Let it give everything back and end; that must succeed."""
        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._reap()
            assert self._process.returncode == 0

    def _reap(self) -> None:
        try:
            self._process.wait(DEADLINE)
        finally:
            if self._process.returncode is None:
                self._process.kill()
                self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
