"""The installed program in the lab's Dom0: its supervisor, and its commands."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from backend.commands.failure import CommandError
from backend.commands.supervisor import ask
from backend.config import Config
from tests.lab import forked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

PROGRAM: Final = "xen-fileproxy"
LOG: Final = Path("/var/log/xen-fileproxy.log")


class Service:
    """``xen-fileproxy run``, as a unit would start it; a context manager that stops it."""

    def __init__(self) -> None:
        """Start it and wait until it answers."""
        self._process: subprocess.Popen[bytes]
        self.start()

    def start(self, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        """Start it, at first or when it has ended, and wait until it answers."""
        with LOG.open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "run", "-v"], stderr=log, env={**os.environ, **environment}
            )
        until(self._answers, 180, "the supervisor does not answer")

    @property
    def pid(self) -> int:
        """The supervisor of the moment."""
        return self._process.pid

    def _answers(self) -> bool:
        assert self._process.poll() is None, LOG.read_text()
        return serves()

    def devices(self) -> list[dict[str, Any]]:
        """What ``status`` says of each device: asked as it asks, but by no process of its own."""
        devices: list[dict[str, Any]] = ask(Config().status_socket)["devices"]
        return devices

    def workers(self) -> list[int]:
        """The processes that serve devices: children of the fork server, which is a child."""
        found = []
        for child in _children(self.pid):
            found += _children(child)
        return found

    def leave(self) -> None:
        """End it; the workers serve on."""
        self._end(signal.SIGTERM)

    def restart(self, number: signal.Signals) -> None:
        """End it by a signal that leaves the workers serving, and have the next one started."""
        self._end(number)
        self.start()

    def _end(self, number: signal.Signals) -> None:
        self._process.send_signal(number)
        self._process.wait(120)

    def close(self) -> None:
        """Stop it in order."""
        command("stop")
        assert self._process.wait(30) == 0, LOG.read_text()
        check_log()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def check_log() -> None:
    """Nothing unforeseen is in it."""
    log = LOG.read_text()
    assert "Traceback" not in log, log


def serves() -> bool:
    """Whether a supervisor runs."""
    try:
        ask(Config().status_socket)
    except CommandError:
        return False
    return True


def command(*arguments: str) -> str:
    """Run a command of the program that must succeed; its output."""
    done = forked.run(arguments)
    assert done.status == 0, f"{' '.join(arguments)}: {done.errors}\n{LOG.read_text()[-3000:]}"
    return done.output


def until(true: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until ``true()``, looking ten times a second: what is looked at tells nobody."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def attach(domid: int, export: Path, *options: str, tag: str = "share") -> str:
    """Attach ``export``, and wait for the guest's driver; the device's number."""
    patience = ("--until", "connected", "--wait", "120")
    name = command("attach", str(domid), "--path", str(export), "--tag", tag, *patience, *options)
    return name.strip().partition("/")[2]


def mount(
    dialect: str = "9p2000.L",
    options: str = "cache=none",
    *,
    msize: int | None = 524288,
    tag: str = "share",
    where: str = "/mnt/share",
) -> str:
    """The guest's command that mounts it; ``None`` leaves the message size to the client."""
    size = "" if msize is None else f"msize={msize},"
    options = f"trans=xen,version={dialect},{size}{options}"
    return f"mkdir -p {where} && mount -t 9p -o {options} {tag} {where}"


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
