"""A plugin of pytest: a run that may take only so long begins no test later, and says so.

Not the conftest's, as options of a conftest are known only where its folder is named.
"""

from __future__ import annotations

import time
from typing import Final

import pytest

_BEGAN: Final = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--minutes``."""
    parser.addoption("--minutes", type=float, help="after which no test is begun")


def pytest_sessionstart(session: pytest.Session) -> None:
    """They count from here."""
    session.config.stash[_BEGAN] = time.monotonic()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before the fixtures, which may take as long as the test."""
    minutes = item.config.getoption("minutes")
    if minutes is not None and time.monotonic() - item.config.stash[_BEGAN] >= minutes * 60:
        pytest.skip(f"the {minutes:g} minutes are over in which this run begins tests")
