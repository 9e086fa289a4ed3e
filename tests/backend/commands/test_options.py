"""Where the run directory is, for root and for everybody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.commands.options import run_dir_for
from backend.config import Config

if TYPE_CHECKING:
    import pytest

DEFAULT = Config().run_dir


def test_root_and_whoever_configured_it_get_what_is_configured() -> None:
    assert run_dir_for(0, DEFAULT) == DEFAULT
    assert run_dir_for(1000, "/srv/run") == "/srv/run"


def test_others_get_a_place_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert run_dir_for(1000, DEFAULT) == "/run/user/1000/xen-fileproxy"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert run_dir_for(1000, DEFAULT).endswith("/xen-fileproxy-1000")
