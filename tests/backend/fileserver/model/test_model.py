"""A served directory behaves as a plain one, step by step, in each dialect."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.backend.fileserver.client import ROOT, Client

from .dotl import DotlSide
from .model import Features, Model
from .plain import PlainSide

if TYPE_CHECKING:
    from pathlib import Path

CLIENTS = 3
TREES_COMPARED_EVERY = 1000
DOTL = Features(xattrs=True, nanoseconds=True, rename_across=True, open_or_create=True)


def compare_dotl(export: Path, mirror: Path, seed: int, steps: int) -> None:
    with contextlib.ExitStack() as stack:
        clients = [Client(str(export)) for _ in range(CLIENTS)]
        for client in clients:
            client.mount()
            stack.callback(client.close)
        run([DotlSide(client) for client in clients], mirror, DOTL, seed, steps)
        assert all(client.in_use() == {ROOT} for client in clients)


def run(sides: list[DotlSide], mirror: Path, features: Features, seed: int, steps: int) -> None:
    plain = PlainSide(str(mirror))
    model = Model(sides, plain, features, seed)
    while model.compared < steps:
        model.step()
        if model.compared % TREES_COMPARED_EVERY == 0:
            model.compare_trees()
    model.finish()
    plain.finish()


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    path = tmp_path / "mirror"
    path.mkdir()
    return path


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_dotl(export: Path, mirror: Path, seed: int) -> None:
    compare_dotl(export, mirror, seed, 3_000)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_dotl_200_000_steps(export: Path, mirror: Path) -> None:
    compare_dotl(export, mirror, 4, 200_000)
