"""Who is taken for a stub domain, and whom a hostile guest cannot pass for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from backend.platform import open_platform
from backend.stubdom.target import stub_domain_of, target_of
from protocol.xenpv.ids import Domid
from tests.backend.stubdom.libxl import say_stub_domain

if TYPE_CHECKING:
    from protocol.xenpv.ports import Store

GUEST, STUB = Domid(4), Domid(5)
TARGET, STUB_DOMAIN = "/local/domain/5/target", "/local/domain/4/image/device-model-domid"


def test_what_libxl_says_counts(store: Store) -> None:
    assert (target_of(store, STUB), stub_domain_of(store, GUEST)) == (None, None)
    say_stub_domain(store, GUEST, STUB)
    assert (target_of(store, STUB), stub_domain_of(store, GUEST)) == (GUEST, STUB)
    assert (target_of(store, GUEST), stub_domain_of(store, STUB)) == (None, None)


def test_a_guest_cannot_say_so_itself(store: Store, platform: str) -> None:
    with contextlib.closing(open_platform(platform, domid=STUB).store()) as own:
        for path in (TARGET, STUB_DOMAIN):
            with pytest.raises(PermissionError):
                own.write(path, b"4")


@pytest.mark.parametrize("path", [TARGET, STUB_DOMAIN])
@pytest.mark.parametrize(
    "permissions", [["n5"], ["n4"], ["w0"], ["b0", "r5"], ["n0", "r4", "b5"], ["n0", "w9"]]
)
def test_a_node_that_anybody_else_could_have_written_does_not_count(
    store: Store, path: str, permissions: list[str]
) -> None:
    say_stub_domain(store, GUEST, STUB)
    store.set_permissions(path, permissions)
    assert (target_of(store, STUB), stub_domain_of(store, GUEST)) == (None, None)


def test_a_home_that_is_the_guests_makes_no_stub_domain(store: Store, platform: str) -> None:
    """As a careless toolstack leaves it: all is the guest's to write."""
    store.set_permissions("/local/domain/5", ["n5"])
    with contextlib.closing(open_platform(platform, domid=STUB).store()) as own:
        own.write(TARGET, b"4")
    assert target_of(store, STUB) is None
    store.write(STUB_DOMAIN, b"5")
    assert target_of(store, STUB) is None


@pytest.mark.parametrize("said", [b"", b"5", b"0", b"04", b"4 ", b"-4", b"\xff", b"4" * 30, b"6"])
def test_both_nodes_must_agree(store: Store, said: bytes) -> None:
    say_stub_domain(store, GUEST, STUB)
    store.write(TARGET, said)
    assert target_of(store, STUB) is None
    assert stub_domain_of(store, GUEST) is None


def test_a_target_whose_stub_domain_is_another_has_but_that_one(store: Store) -> None:
    say_stub_domain(store, GUEST, STUB)
    store.write(STUB_DOMAIN, b"6")
    assert (target_of(store, STUB), stub_domain_of(store, GUEST)) == (None, None)
