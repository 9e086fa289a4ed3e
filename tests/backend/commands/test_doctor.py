"""``doctor`` as a whole, where there is no Xen."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from backend.cli import main
from backend.commands.doctor import show
from backend.doctor.examination import AREAS, Examined, examine
from backend.doctor.finding import ok, problem, warning
from backend.doctor.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backend.supervisor.program import Supervisor


def test_a_machine_that_serves_has_no_problem(
    supervisor: Supervisor, platform: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--platform", platform, "--run-dir", str(place / "run")]
    assert main(["doctor", "--json", *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["problems"] == 0
    checks = document["checks"]
    assert {(each["area"], each["check"]) for each in checks} == {
        (area, check) for area, table in AREAS.items() for check in table
    }
    assert document["warnings"] == sum(each["verdict"] == "warning" for each in checks)
    assert supervisor.process.pid


def test_a_machine_that_does_not_serve(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--platform", f"embedded:{place}", "--run-dir", str(place / "run")]
    assert main(["doctor", *options]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("problem XenStore, connection: ") for line in lines)
    assert any(line.startswith("problem service, supervisor: ") for line in lines)
    assert " problems, " in lines[-1]


def test_a_bad_configuration_is_a_finding(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = place / "bad.toml"
    file.write_text("max-fids = 7\n")
    assert main(["doctor", "--json", "--config", str(file), "--platform", f"embedded:{place}"]) == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    (found,) = (each for each in checks if each["check"] == "configuration")
    assert found["verdict"] == "problem"
    assert found["what"] == f"{file}: unknown key 'max-fids': did you mean 'limits.max-fids'?"


def test_a_bad_option_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--platform", "kvm"]) == 1
    assert 'platform is "kvm"' in capsys.readouterr().err


def test_a_check_that_cannot_look_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "sys" / "hypervisor" / "type").mkdir(parents=True)
    (first, *_) = examine(Machine(root=tmp_path))
    assert first.finding.what.startswith("cannot be looked at: ")
    assert "Is a directory" in first.finding.what


FOUND = [
    Examined("Xen", "hypervisor", ok("Xen 4.17")),
    Examined("Xen", "drivers", problem("none\x1b[2J", "modprobe [them]")),
    Examined("service", "unit", warning("off", "on")),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_what_is_shown(stream: io.StringIO) -> None:
    show(FOUND, stream)
    text = stream.getvalue()
    for expected in ("hypervisor", "none?[2J", "modprobe [them]", "1 problem, 1 warning"):
        assert expected in text


def test_all_is_well() -> None:
    stream = io.StringIO()
    show(FOUND[:1], stream)
    assert stream.getvalue() == "ok      Xen, hypervisor: Xen 4.17\nall is well\n"
