"""Slots are counted at their edge; the descriptors come from the process's own limit."""

from __future__ import annotations

import errno
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.limits import (
    MIN_DESCRIPTORS,
    RESERVED_DESCRIPTORS,
    Slots,
    descriptor_slots,
)
from backend.fileserver.local_tree import LocalTree

from .client import refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def open_file_limit(soft: int) -> Iterator[None]:
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def test_slots_are_given_out_once_and_come_back() -> None:
    slots = Slots("things", 2)
    slots.check(2)
    with refused(errno.EMFILE):
        slots.check(3)
    slots.take()
    slots.take()
    assert repr(slots) == "<things 2/2>"
    with refused(errno.EMFILE):
        slots.take()
    with refused(errno.EMFILE):
        slots.check(1)
    slots.give()
    slots.take()
    slots.give()
    slots.give()
    with pytest.raises(ValueError, match="more things given back"):
        slots.give()


def test_slots_go_by_the_dozen_all_or_none() -> None:
    slots = Slots("bytes", 10, errno.ENOLCK)
    slots.take(8)
    with refused(errno.ENOLCK):
        slots.take(3)
    slots.take(2)
    slots.take(0)
    slots.give(10)
    slots.take()
    with pytest.raises(ValueError, match="more bytes given back"):
        slots.give(2)
    assert slots.used == 1


def test_descriptors_come_from_the_soft_limit() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 500
    with open_file_limit(500):
        assert descriptor_slots().capacity == 500 - RESERVED_DESCRIPTORS
        assert descriptor_slots(reserved=20).capacity == 480


def test_a_limit_that_is_too_low_is_told_at_the_start(export: Path) -> None:
    with open_file_limit(RESERVED_DESCRIPTORS + MIN_DESCRIPTORS):
        assert descriptor_slots().capacity == MIN_DESCRIPTORS
    with (
        open_file_limit(RESERVED_DESCRIPTORS + MIN_DESCRIPTORS - 1),
        pytest.raises(OSError, match="are too few") as caught,
    ):
        LocalTree(str(export))
    assert caught.value.errno == errno.EMFILE


def test_a_tree_that_shares_descriptors_with_others_may_find_none_left(export: Path) -> None:
    slots = Slots("descriptors", 1)
    tree = LocalTree(str(export), slots)
    with refused(errno.EMFILE):
        LocalTree(str(export), slots)
    tree.close()
    LocalTree(str(export), slots).close()
