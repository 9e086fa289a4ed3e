"""A served directory behaves as a plain one, step by step, in each dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.backend.fileserver.client import ROOT, AnyClient, Client
from tests.backend.fileserver.dotu_client import DotuClient

from .dotl import DotlSide
from .dotu import DotuSide, said
from .model import Features, Model
from .plain import PlainSide

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLIENTS = 3
TREES_COMPARED_EVERY = 1000
DOTL = Features(xattrs=True, nanoseconds=True, rename_across=True, open_or_create=True)
DOTU = Features(xattrs=False, nanoseconds=False, rename_across=False, open_or_create=False)


def compare_dotl(export: Path, mirror: Path, seed: int, steps: int) -> None:
    clients = [Client(str(export)) for _ in range(CLIENTS)]
    sides = [DotlSide(client) for client in clients]
    run(clients, Model(sides, PlainSide(str(mirror)), DOTL, seed), steps)


def compare_dotu(export: Path, mirror: Path, seed: int, steps: int) -> None:
    clients = [DotuClient(str(export)) for _ in range(CLIENTS)]
    sides = [DotuSide(client) for client in clients]
    plain = PlainSide(str(mirror), said=said, group_of_directory=True)
    run(clients, Model(sides, plain, DOTU, seed), steps)


def run(clients: Sequence[AnyClient], model: Model, steps: int) -> None:
    for client in clients:
        client.mount()
    try:
        while model.compared < steps:
            due = model.compared + TREES_COMPARED_EVERY
            while model.compared < min(due, steps):
                model.step()
            model.compare_trees()
        model.finish()
        assert all(client.in_use() == {ROOT} for client in clients)
    finally:
        model.close()
        for client in clients:
            client.close()


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    path = tmp_path / "mirror"
    path.mkdir()
    return path


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_dotl(export: Path, mirror: Path, seed: int) -> None:
    compare_dotl(export, mirror, seed, 3_000)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_dotu(export: Path, mirror: Path, seed: int) -> None:
    compare_dotu(export, mirror, seed, 3_000)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_dotl_200_000_steps(export: Path, mirror: Path) -> None:
    compare_dotl(export, mirror, 4, 200_000)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_dotu_200_000_steps(export: Path, mirror: Path) -> None:
    compare_dotu(export, mirror, 5, 200_000)
