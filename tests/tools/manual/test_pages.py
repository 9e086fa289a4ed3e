"""The manual pages: complete, and without a warning of any formatter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from backend.config import entries
from tests.tools.manual.programs import PROGRAMS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.manual.programs import Program

PAGES: Final = ("xen-fileproxy.8", "xen-fileproxy-front.1", "xen-fileproxy.toml.5")
programs = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
needs_man = pytest.mark.skipif(shutil.which("man") is None, reason="needs man: apt install man-db")


def sections(page: Path) -> dict[str, str]:
    """The page's source by heading, of sections and of parts."""
    found = re.split(r'^\.S[HS] "(.*)"$', page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        heading.replace(r"\-", "-"): text.replace(r"\-", "-")
        for heading, text in zip(found[1::2], found[2::2], strict=True)
    }


@programs
def test_every_command_and_option_is_explained(manual: Path, program: Program) -> None:
    page = sections(manual / program.page)
    assert program.options() == set(re.findall(r"\\fB(-[^\\]*)\\fP", page["OPTIONS"]))
    for command in program.commands:
        explained = set(re.findall(r"\\fB(-[^\\]*)\\fP", page[command]))
        assert program.options(command) == explained, command


@programs
def test_every_command_has_an_example(manual: Path, program: Program) -> None:
    page = sections(manual / program.page)
    for command in program.commands:
        example = re.search(r"^\.EX$(.*?)^\.EE$", page[command], re.MULTILINE | re.DOTALL)
        assert example, command
        assert command in example[1]


@programs
def test_the_exit_codes_are_there(manual: Path, program: Program) -> None:
    status = sections(manual / program.page)["EXIT STATUS"]
    assert {"0", "1", "2", "130"} <= set(re.findall(r"\\fB(\d+)\\fP", status))


def test_every_key_of_the_configuration_is_explained(manual: Path) -> None:
    page = (manual / "xen-fileproxy.toml.5").read_text(encoding="utf-8").replace(r"\-", "-")
    for key, _default, entry in entries():
        assert rf"\fB{key.rpartition('.')[2]}\fP = " in page
        assert entry.metadata["kind"].words.split()[0] in page


def test_the_date_is_the_packages(manual: Path) -> None:
    assert " 2001-09-09 " in (manual / "xen-fileproxy.8").read_text().splitlines()[0]


@needs_man
@pytest.mark.parametrize("page", PAGES)
def test_man_has_nothing_to_warn_of(manual: Path, page: str) -> None:
    done = subprocess.run(
        ["man", "--warnings", "--local-file", str(manual / page)],
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert "NAME\n" in done.stdout
    assert "SEE ALSO\n" in done.stdout


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="needs mandoc: apt install mandoc")
@pytest.mark.parametrize("page", PAGES)
def test_mandoc_has_nothing_to_warn_of(manual: Path, page: str) -> None:
    subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(manual / page)], check=True)
