"""A Dom0 and its guests on the embedded hypervisor, in a folder that is gone afterwards.

Used by the demo, the benchmark and the end-to-end tests, so that all three start the program the
way a person does: ``xen-fileproxy run``, ``attach``, ``status`` and ``xen-fileproxy-front``.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backend.platform.embedded.hypervisor import EmbeddedHypervisor

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

BIN: Final = Path(sys.executable).parent
DEADLINE: Final = 30.0
"""Seconds until a process that should be ready, or gone, counts as hung."""


class TestbedError(Exception):
    """Something did not start or did not stop; the text says what, with its log."""

    __test__ = False


class Testbed:
    """A hypervisor and a supervisor, with logs.  Use as a context manager."""

    __test__ = False

    def __init__(self, *arguments: str, folder: str | None = None, config: str = "") -> None:
        """``arguments`` go to ``xen-fileproxy run``; ``folder`` is where the temporary one goes.
        ``config`` is what the configuration has besides; ``DIR`` in it is the temporary folder.

        Names are short because the path of a unix socket has 107 bytes.
        """
        self.dir: Final = Path(tempfile.mkdtemp(prefix="xfp-", dir=folder))
        self.rundir: Final = self.dir / "hv"
        self.platform: Final = f"embedded:{self.rundir}"
        self.log: Final = self.dir / "supervisor.log"
        self.config: Final = self.dir / "config.toml"
        more = config.replace("DIR", str(self.dir))
        self.config.write_text(f'run-dir = "{self.dir}/run"\n{more}')
        self.hypervisor: Final = EmbeddedHypervisor.start(str(self.rundir))
        self._arguments: Final = arguments
        self.tree: Path | None = None
        """Where commands find the program's code from now on, if not where we have found it."""
        self.supervisor = self._start_supervisor()

    def _start_supervisor(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command("run", "--platform", self.platform, *self._arguments),
                env=self.environment,
                stderr=log,
                stdin=subprocess.DEVNULL,
                # Ctrl-C is for us, who then stop it in order.
                process_group=0,
            )
        try:
            self._await_status(process)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process

    def _await_status(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the supervisor answers; it binds its socket last."""
        socket = self.dir / "run" / "status.sock"
        deadline = time.monotonic() + DEADLINE
        gone = os.pidfd_open(process.pid)
        try:
            while not socket.exists():
                # The process's end is an event; the socket's birth is looked for in between.
                ended, _, _ = select.select([gone], [], [], 0.02)
                if ended or time.monotonic() > deadline:
                    raise TestbedError(f"the supervisor does not run:\n{self.log.read_text()}")
        finally:
            os.close(gone)

    def command(self, name: str, *arguments: str) -> list[str]:
        """A command line of ``xen-fileproxy``, with our configuration; it wants ``environment``."""
        return [str(BIN / "xen-fileproxy"), name, "--config", str(self.config), *arguments]

    @property
    def environment(self) -> dict[str, str] | None:
        """What a command is started in: ours, unless its code is to be another."""
        if self.tree is None:
            return None
        found = filter(None, (str(self.tree), os.environ.get("PYTHONPATH")))
        return {**os.environ, "PYTHONPATH": os.pathsep.join(found)}

    def guest(self, domid: int, path: Path | str, *, tag: str = "share") -> None:
        """Give domain ``domid``, created if need be, a device that shows ``path``."""
        self.attach(domid, "--path", str(path), "--tag", tag)

    def attach(self, domid: int, *options: str) -> None:
        """As ``xen-fileproxy attach`` to domain ``domid``, created if need be."""
        if domid not in self.hypervisor.domains():
            self.hypervisor.create_domain(domid)
        done = subprocess.run(
            self.command(
                *("attach", str(domid), "--platform", self.platform, "--until", "offered"),
                *options,
            ),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        if done.returncode:
            raise TestbedError(f"attach failed: {done.stderr}")

    def front(self, domid: int, *arguments: str) -> list[str]:
        """The command line of a frontend in domain ``domid``."""
        return [
            str(BIN / "xen-fileproxy-front"),
            "--platform",
            self.platform,
            "--domid",
            str(domid),
            *arguments,
        ]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """As ``xen-fileproxy ARGUMENTS``, with our configuration; whatever comes of it."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """What ``xen-fileproxy status --json`` says."""
        done = self.run("status", "--json")
        if done.returncode:
            raise TestbedError(f"status failed: {done.stderr}")
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def device(self, domid: int, devid: int = 0) -> dict[str, Any]:
        """One device of ``status``."""
        for device in self.status()["devices"]:
            if (device["domid"], device["devid"]) == (domid, devid):
                return dict(device)
        raise TestbedError(f"no device d{domid}/{devid}")

    def await_status(self, good: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for the status until it is ``good``; asking is what takes the time."""
        deadline = time.monotonic() + DEADLINE
        while not good(status := self.status()):
            if time.monotonic() > deadline:
                raise TestbedError(f"status stays {status}")
        return status

    def stop_supervisor(self) -> int:
        """Have it close all devices and end; its exit status."""
        self.supervisor.send_signal(signal.SIGINT)
        try:
            return self.supervisor.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.supervisor.kill()
            self.supervisor.wait()
            raise TestbedError(f"the supervisor does not stop:\n{self.log.read_text()}") from None

    def restart_supervisor(self, number: signal.Signals) -> None:
        """End it by a signal that leaves the workers serving, and start the next."""
        self.supervisor.send_signal(number)
        self.supervisor.wait(DEADLINE)
        (self.dir / "run" / "status.sock").unlink(missing_ok=True)  # after SIGKILL
        self.supervisor = self._start_supervisor()

    def close(self) -> None:
        """Stop everything and remove the folder; raises when something is left behind."""
        problems = []
        try:
            if self.supervisor.poll() is None and (status := self.stop_supervisor()):
                problems.append(f"the supervisor ended with status {status}")
            problems += self.hypervisor.leaks()
        finally:
            self.hypervisor.close()
            log = self.log.read_text()
            shutil.rmtree(self.dir)
        if "Traceback" in log:
            problems.append("a traceback is in the log")
        if problems:
            raise TestbedError("\n".join([*problems, log]))

    def discard(self) -> None:
        """Kill whatever still runs and remove the folder, whatever is left over."""
        for kill, wait in (
            (self.supervisor.kill, self.supervisor.wait),
            (self.hypervisor.kill, self.hypervisor.close),
        ):
            kill()
            with suppress(OSError):
                wait()
        shutil.rmtree(self.dir)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
