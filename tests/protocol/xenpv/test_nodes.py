"""Nodes that are not there, and those that nobody may read."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from backend.platform import open_platform
from backend.platform.embedded.hypervisor import EmbeddedHypervisor
from protocol.xenpv.ids import Domid
from protocol.xenpv.nodes import names_below, value_of

if TYPE_CHECKING:
    from pathlib import Path


def test_absence_is_an_answer_and_a_refusal_is_none(tmp_path: Path) -> None:
    with EmbeddedHypervisor.start(tmp_path) as hypervisor:
        hypervisor.create_domain(5)
        dom0 = open_platform(f"embedded:{hypervisor.rundir}")
        guest = open_platform(f"embedded:{hypervisor.rundir}", domid=Domid(5))
        with contextlib.closing(dom0.store()) as store, contextlib.closing(guest.store()) as other:
            store.write("/local/domain/0/a/b", b"1")
            assert value_of(store, "/local/domain/0/a/b") == b"1"
            assert names_below(store, "/local/domain/0/a") == ["b"]
            assert value_of(store, "/local/domain/0/none") is None
            assert names_below(store, "/local/domain/0/none") == []
            with pytest.raises(PermissionError):
                value_of(other, "/local/domain/0/a")
            with pytest.raises(PermissionError):
                names_below(other, "/local/domain/0/a")
