"""Completion, in bash: what is offered where."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.tools.manual.programs import PROGRAMS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.manual.programs import Program

programs = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

_ASK = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
command=$(complete -p "$1")
command=${command##*-F }
${command% *}
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(script: Path, *words: str, cwd: Path | None = None, path: str = "") -> set[str]:
    """What bash offers for the last word."""
    done = subprocess.run(
        ["bash", "--norc", "-c", _ASK, "bash", str(script), script.name, *words],
        check=True,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"PATH": f"{path}:/usr/bin:/bin"},
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@programs
def test_every_command_and_option_is_offered(manual: Path, program: Program) -> None:
    script = manual / program.name
    assert offered(script, "") == program.options() | set(program.commands)
    for command in program.commands:
        assert program.options(command) <= offered(script, command, "-")


def test_a_beginning_is_completed(manual: Path) -> None:
    script = manual / "xen-fileproxy"
    assert offered(script, "att") == {"attach"}
    assert offered(script, "attach", "--max-f") == {"--max-files"}
    assert offered(script, "attach", "guest1", "--read-only", "--comm") == {"--commit"}
    assert offered(script, "embedded", "cr") == {"create"}


def test_an_options_value_is_offered_alone(manual: Path, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    script = manual / "xen-fileproxy"
    assert offered(script, "attach", "guest1", "--commit", "") == {"none", "atomic"}
    assert offered(script, "attach", "guest1", "--path", "", cwd=tmp_path) == {"directory"}
    assert offered(script, "run", "--config", "", cwd=tmp_path) == {"directory", "file"}
    assert offered(script, "attach", "guest1", "--max-space", "") == set()


def test_domains_are_offered_by_name(manual: Path, tmp_path: Path) -> None:
    xl = tmp_path / "xl"
    xl.write_text("#!/bin/sh\necho Name ID Mem\necho Domain-0 0 1024\necho guest1 5 256\n")
    xl.chmod(0o755)
    assert offered(manual / "xen-fileproxy", "detach", "gu", path=str(tmp_path)) == {"guest1"}
    assert offered(manual / "xen-fileproxy", "detach", "gu", path="/nowhere") == set()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
@programs
def test_the_script_is_clean(manual: Path, program: Program) -> None:
    subprocess.run(["shellcheck", "--shell=bash", str(manual / program.name)], check=True)
