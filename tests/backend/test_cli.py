"""The command line as a user meets it: exit codes, one clear line, never a traceback."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.cli import COMMANDS, main
from backend.logs import ROOT_LOGGER

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Commands that run in this process set logging up; other tests look at it."""
    logger = logging.getLogger(ROOT_LOGGER)
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backend.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version_is_the_package() -> None:
    got = run("--version")
    assert got.returncode == 0
    assert got.stdout.startswith("xen-fileproxy 0.")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"example: xen-fileproxy {command}" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["run", "--fast"], "unrecognized arguments: --fast"),
        (["attach", "32752", "--path", "/"], "'32752' is not a domain's number"),
        (
            ["attach", "5", "--path", "/", "--devid", "-1"],
            "'-1' is not a device's number, 0 to",
        ),
        (["detach", "5", "--wait", "soon"], "'soon' is not a number of seconds"),
        (["embedded", "create", "--dir", "/hv"], "the following arguments are required: DOMID"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--platform", "kvm"], 'platform is "kvm"; it must be "xen" or "embedded:DIR"'),
        (["run", "--run-dir", "here"], 'run-dir is "here"; it must be an absolute path'),
        (["run", "--config", "/none.toml"], "/none.toml: no such file"),
        (["status", "--socket", "/none.sock"], "no supervisor runs there; start one with"),
        (["status", "--config", "/none.toml"], "/none.toml: no such file"),
        (["check-config", "/none.toml"], "/none.toml: no such file"),
        (["serve", "--path", "/none", "--listen", "unix:/none/s"], "/none: No such file"),
        (["serve", "--path", "/", "--listen", "udp:1"], "it must be unix:SOCKET or tcp:HOST:PORT"),
        (["serve", "--path", "/", "--listen", "unix:/none/s"], "unix:/none/s: No such file"),
        (["serve", "--path", "/", "--listen", "tcp:1.2.3.4:99999"], "it must be unix:SOCKET or"),
        (["serve", "--path", "/", "--listen", f"unix:/{'x' * 200}"], "AF_UNIX path too long"),
        (["attach", "5", "--path", "/", "--tag", "a\nb"], "it must be 1 to 255 printable"),
        (["attach", "5", "--path", "/", "--platform", "embedded:/none"], "platform embedded:/none"),
        (["detach", "5", "--platform", "embedded:/none"], "platform embedded:/none: "),
        (["run", "--platform", "embedded:/none", "--run-dir", "/dev/null"], "run-dir /dev/null: "),
        (["embedded", "list", "--dir", "/none"], "/none"),
    ],
)
def test_failure_is_exit_code_1_and_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("xen-fileproxy: error: ")
    assert err.count("\n") == 1
    assert "internal error" not in err


def test_supervisor_says_what_it_cannot_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = ["--run-dir", str(tmp_path)]
    assert main(["run", "--platform", "embedded:/none", *run_dir]) == 1
    assert "error: platform embedded:/none: " in capsys.readouterr().err
    assert main(["run", *run_dir]) == 1
    assert "error: platform xen: " in capsys.readouterr().err


def test_check_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[limits]\nmax-rings = 3\n")
    assert main(["check-config", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: good\n"
    path.write_text("[limits]\nmax-ring = 3\n")
    assert main(["check-config", str(path)]) == 1
    assert "did you mean 'limits.max-rings'?" in capsys.readouterr().err


def test_reference_is_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--reference"]) == 0
    assert capsys.readouterr().out == (DOCS / "configuration.md").read_text()


def test_the_template_is_a_good_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-config", "--template"]) == 0
    (tmp_path / "c.toml").write_text(capsys.readouterr().out)
    assert main(["check-config", str(tmp_path / "c.toml")]) == 0


def test_describe_is_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe"]) == 0
    assert capsys.readouterr().out == (DOCS / "protocol.md").read_text()


def test_reader_that_has_enough_is_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "backend.cli", "describe"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1
