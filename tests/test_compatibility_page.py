"""docs/compatibility.md names every message, and no test that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocol.ninep.dialects import Dialect

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/compatibility.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """What stands below a heading, up to the next of its kind."""
    return PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize("dialect", Dialect)
def test_every_request_of_a_dialect_has_its_row(dialect: Dialect) -> None:
    rows = re.findall(r"^\| (T[a-z]+(?:, T[a-z]+)*) \|", section(_title(dialect)), re.MULTILINE)
    named = [name for row in rows for name in row.split(", ")]
    assert sorted(named) == sorted(request.__name__ for request in dialect.requests)


def _title(dialect: Dialect) -> str:
    return f"Messages of {dialect.value.decode()}"


def test_the_tests_it_names_are_there() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", PAGE))
    assert len(named) > 10
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
    files = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(re.findall(r"`(test_\w+\.py)`", PAGE)) <= files
