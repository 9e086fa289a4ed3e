"""A tree with mapped owners, on one whose attributes can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.fileserver.limits import Slots
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.mapped_xattr import MappedXattrTree
from tests.backend.fileserver.holder import Holder
from tests.backend.fileserver.policies.mapped_xattr.qemu_form import MADE, Made
from tests.backend.fileserver.policies.mapped_xattr.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def steps(export: Path, user_attributes: None) -> Iterator[Steps]:
    slots = Slots("descriptors", 200)
    steps = Steps(LocalTree(str(export), slots))
    yield steps
    assert slots.used == 1
    steps.close()


@pytest.fixture
def held(steps: Steps) -> Iterator[Holder]:
    held = Holder(MappedXattrTree(steps))
    yield held
    held.release()


@pytest.fixture(params=MADE)
def made(request: pytest.FixtureRequest) -> Made:
    return MADE[request.param]
