"""Every way of this machine's QEMU through our frontend, as docs/qemu.md tells it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tools.qemu_ways import table
from tools.qemu_ways.fronted import Frontend, frontend
from tools.qemu_ways.qemu import version
from tools.qemu_ways.shares import ENTRIES
from tools.qemu_ways.table import Column
from tools.qemu_ways.versions import PACKAGE, PROGRAM, VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.qemu_ways.shares import Entry

pytestmark = pytest.mark.skipif(
    shutil.which(PROGRAM) is None, reason=f"QEMU is not installed (apt install {PACKAGE})"
)


@pytest.fixture(scope="module")
def running() -> Iterator[Frontend]:
    with frontend([PROGRAM]) as guest:
        yield guest


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_it_is_as_the_page_tells(running: Frontend, leak_free: None, entry: Entry) -> None:
    known = {each.number: each for each in VERSIONS}.get(running.version)
    if known is None:
        pytest.skip(f"the page tells nothing of QEMU {version([PROGRAM])}")
    told = table.read(table.PAGE.read_text(encoding="utf-8"))
    assert running.outcome(entry) == told[entry.name, Column(known.name, "frontend")]
