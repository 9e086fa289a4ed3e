"""docs/qemu.md has a row for every way, and a run that finds another outcome fails."""

from __future__ import annotations

import re

import pytest

from tools.qemu_ways import table
from tools.qemu_ways.__main__ import verdict
from tools.qemu_ways.shares import ENTRIES
from tools.qemu_ways.table import COLUMNS, PAGE

TEXT = PAGE.read_text(encoding="utf-8")
KEY = ("exec", COLUMNS[0])


def test_the_page_tells_an_outcome_of_all_that_is_tried() -> None:
    told = table.read(TEXT)
    assert set(told) == {(entry.name, column) for entry in ENTRIES for column in COLUMNS}
    assert [text for text in told.values() if "FAILED" in text or "?" in text] == []


def test_the_page_is_as_a_run_writes_it() -> None:
    assert table.written(TEXT, table.read(TEXT)) == TEXT


def test_a_row_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="should be `pipe`"):
        table.read(TEXT.replace("| `pipe` |", "| `pipes` |"))
    with pytest.raises(ValueError, match="no table ways"):
        table.read(TEXT.replace("<!-- table: ways -->", ""))


@pytest.mark.parametrize(
    ("outcome", "status", "said"),
    [
        ("ok", 0, "1 outcomes, 0 failed, 0 not as told"),
        ("from 9.9", 1, "0 failed, 1 not as told"),
        ("FAILED: it", 1, "1 failed, 1 not as told"),
    ],
)
def test_another_outcome_than_told_fails(
    outcome: str, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict({KEY: outcome}, {KEY: "ok"}) == status
    assert said in capsys.readouterr().out


def test_a_run_of_nothing_fails() -> None:
    assert verdict({}, {KEY: "ok"}) == 1


def test_names_are_names_of_files_of_their_own() -> None:
    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z-]+", name) for name in names)
