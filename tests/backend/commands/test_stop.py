"""``stop``: it is over when the supervisor's process is, and not before."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from backend.cli import main
from backend.commands import stop
from tests.backend.commands.answering import answering
from tests.backend.supervisor.program import PATIENCE, Program

if TYPE_CHECKING:
    import pytest

    from tests.backend.supervisor.program import Supervisor


def status(pid: int) -> tuple[bytes, bytes]:
    """The conversation that comes first."""
    return b"status\n", json.dumps({"pid": pid, "devices": []}).encode()


def test_the_process_is_gone_when_the_command_is_back(supervisor: Supervisor) -> None:
    with Program("stop", "--run-dir", str(supervisor.run_dir)) as command:
        assert command.process.wait(PATIENCE) == 0
        assert supervisor.process.poll() == 0


def test_a_process_that_hangs_up_and_stays(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop, "_LAST_STEPS", 0.01)
    with answering(status(os.getpid()), (b"stop\n", b"")) as path:
        assert main(["stop", "--socket", path]) == 1
    assert f"process {os.getpid()} hung up, but does not end" in capsys.readouterr().err


def test_a_process_that_has_ended_meanwhile() -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    with answering(status(ended.pid)) as path:
        assert main(["stop", "--socket", path]) == 0
