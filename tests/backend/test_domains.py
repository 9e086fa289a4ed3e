"""Domains by name, as XenStore holds it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from backend.domains import DomainError, domain_name, domain_names, find_domain
from backend.platform import open_platform
from backend.platform.embedded.hypervisor import EmbeddedHypervisor
from protocol.xenpv.ids import Domid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.xenpv.ports import Store


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """XenStore with four domains, two of which have one name."""
    with EmbeddedHypervisor.start(tmp_path_factory.mktemp("hv")) as hypervisor:
        for domid in (3, 4, 10, 11):
            hypervisor.create_domain(domid)
        platform = open_platform(f"embedded:{hypervisor.rundir}")
        with contextlib.closing(platform.store()) as store:
            for domid, name in ((3, b"mail"), (4, b"web"), (10, b"web")):
                store.write(f"/local/domain/{domid}/name", name)
            yield store


def test_names(store: Store) -> None:
    store.rm("/local/domain/11/name")
    store.mkdir("/local/domain/x")
    assert domain_names(store) == {0: "Domain-0", 3: "mail", 4: "web", 10: "web"}
    assert domain_name(store, Domid(11)) is None
    assert domain_name(store, Domid(12)) is None
    store.write("/local/domain/11/name", b"\xff" * 300)
    assert domain_name(store, Domid(11)) == "\ufffd" * 255


def test_found(store: Store) -> None:
    assert find_domain(store, "mail") == 3
    assert find_domain(store, "Domain-0") == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("web", 'domains 4 and 10 are both called "web": give the number'),
        ("mial", 'no domain is called "mial"; did you mean mail?'),
        ("zz", 'no domain is called "zz"; there is Domain-0, embedded-11, mail, web'),
        ("", 'no domain is called ""; there is Domain-0,'),
    ],
)
def test_what_is_not_clear_is_said(store: Store, name: str, message: str) -> None:
    with pytest.raises(DomainError) as raised:
        find_domain(store, name)
    assert message in str(raised.value)


def test_a_long_list_is_cut(store: Store) -> None:
    for domid in range(20, 30):
        store.write(f"/local/domain/{domid}/name", b"zone%d" % domid)
    with pytest.raises(DomainError, match=r"there is Domain-0, .*, zone23 and 6 more$"):
        find_domain(store, "other")
