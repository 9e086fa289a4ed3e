"""What libxl starts: it has a supervisor run, and lives until libxl needs it no more."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.backend.supervisor.program import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).parents[3] / "tools" / "dom0" / "xen-9pfsd"


class Dom0:
    """A Dom0's files below a directory, with programs that write down how they were called."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls = root / "calls"
        self.calls.touch()
        text = SCRIPT.read_text()
        for place in ("/run/", "/var/log/"):
            (root / place.strip("/")).mkdir(parents=True)
            text = text.replace(place, f"{root}{place}")
        self.script = root / "xen-9pfsd"
        self._write(self.script, text)
        self.command("xen-fileproxy", "trap 'exit 0' TERM; while :; do sleep 0.1; done")

    def command(self, name: str, script: str) -> None:
        """Have ``name`` note its process and arguments, then run ``script``."""
        (self.root / "bin").mkdir(exist_ok=True)
        self._write(
            self.root / "bin" / name, f'#!/bin/sh\necho "$$ $0 $*" >>{self.calls}\n{script}\n'
        )

    def systemd(self, status: int) -> None:
        """Let systemd run it, and answer ``start`` so."""
        (self.root / "run/systemd/system").mkdir(parents=True)
        self.command("systemctl", f"[ $1 = cat ] || exit {status}")

    def called(self, name: str) -> list[tuple[int, str]]:
        """The processes and arguments of each call."""
        words = [line.split(" ", 2) for line in self.calls.read_text().splitlines()]
        return [(int(pid), rest) for pid, path, rest in words if path.endswith(f"/{name}")]

    def libxl(self, **environment: str) -> subprocess.Popen[str]:
        """Start it as libxl does: by a process that waits for it, which libxl kills at the end."""
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "sh", "-c", '"$0" & echo $!; wait $!', self.script],
            env={**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def log(self) -> str:
        return (self.root / "var/log/xen/xen-fileproxy.log").read_text()

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)


@pytest.fixture
def dom0(tmp_path: Path) -> Iterator[Dom0]:
    dom0 = Dom0(tmp_path)
    yield dom0
    supervisors = [pid for pid, _ in dom0.called("xen-fileproxy")]
    try:
        wait_until(lambda: not any(map(alive, supervisors)), "supervisors are left")
    finally:
        for pid in filter(alive, supervisors):
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def seen_enough(libxl: subprocess.Popen[str]) -> None:
    """What libxl does when the node says ``running``."""
    libxl.kill()
    libxl.wait()


def pid_of(libxl: subprocess.Popen[str]) -> int:
    assert libxl.stdout is not None
    return int(libxl.stdout.readline())


def test_systemd_starts_the_unit_and_the_program_outlives_that(dom0: Dom0) -> None:
    dom0.systemd(0)
    with dom0.libxl() as libxl:
        pid = pid_of(libxl)
        wait_until(lambda: len(dom0.called("systemctl")) == 2, "not called")
        assert [arguments for _, arguments in dom0.called("systemctl")] == [
            "cat xen-fileproxy.service",
            "start xen-fileproxy.service",
        ]
        assert libxl.poll() is None
        assert alive(pid)
        seen_enough(libxl)
        wait_until(lambda: not alive(pid), "it stays")
        # Whoever reads what xl prints is not kept waiting.
        assert libxl.communicate(timeout=PATIENCE) == ("", "")
    assert dom0.called("xen-fileproxy") == []


def test_a_unit_that_does_not_start_is_told_at_once(dom0: Dom0) -> None:
    dom0.systemd(3)
    with dom0.libxl() as libxl:
        assert libxl.wait(PATIENCE) == 1


def test_without_systemd_the_supervisor_is_started_and_logs_with_libxl_s_daemons(
    dom0: Dom0,
) -> None:
    dom0.command("xen-fileproxy", "echo out; echo err >&2; exit 5")
    with dom0.libxl(XEN_9PFSD_VERBOSE="1") as libxl:
        assert libxl.wait(PATIENCE) == 5
        assert libxl.communicate()[1] == ""
    assert [arguments for _, arguments in dom0.called("xen-fileproxy")] == ["run -v"]
    assert dom0.log() == "out\nerr\n"


def test_a_supervisor_that_was_killed_is_started_again(dom0: Dom0) -> None:
    with dom0.libxl() as libxl:
        pid = pid_of(libxl)
        wait_until(lambda: dom0.called("xen-fileproxy"), "not started")
        seen_enough(libxl)
        ((first, arguments),) = dom0.called("xen-fileproxy")
        assert arguments == "run"
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: len(dom0.called("xen-fileproxy")) == 2, "not started again")
        assert "the supervisor was ended by signal 9; starting it again\n" in dom0.log()
        # It ends with its supervisor, and that in order, as at a shutdown.
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not alive(pid), "it stays")


def test_a_second_share_s_program_starts_no_second_supervisor(dom0: Dom0) -> None:
    with dom0.libxl() as first, dom0.libxl() as second:
        programs = [pid_of(first), pid_of(second)]
        wait_until(lambda: dom0.called("xen-fileproxy"), "not started")
        seen_enough(first)
        seen_enough(second)
        # One keeps the supervisor, whichever came first; the other goes with its libxl.
        wait_until(lambda: sum(map(alive, programs)) == 1, "both stay")
        ((supervisor, _),) = dom0.called("xen-fileproxy")
        os.kill(supervisor, signal.SIGTERM)
        wait_until(lambda: not any(map(alive, programs)), "one stays")
