"""What creating and destroying a domain does to XenStore, as pyxs sees it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import pyxs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor


def connect(hypervisor: EmbeddedHypervisor, domid: int = 0) -> Any:
    client = pyxs.Client(unix_socket_path=hypervisor.store_path(domid))
    client.connect()
    return closing(client)


@pytest.fixture
def dom0(hypervisor: EmbeddedHypervisor) -> Iterator[Any]:
    with connect(hypervisor) as client:
        yield client


def test_a_guest_finds_its_nodes_with_the_permissions_a_toolstack_gives(dom0: Any) -> None:
    home = b"/local/domain/5"
    assert dom0.get_perms(home) == [b"n0", b"r5"]
    assert dom0.read(home + b"/domid") == b"5"
    assert dom0.read(home + b"/name") == b"embedded-5"
    for name in (b"device", b"control", b"vm"):
        assert dom0.get_perms(home + b"/" + name) == [b"n0", b"r5"]
    for name in (b"data", b"control/shutdown"):
        assert dom0.get_perms(home + b"/" + name) == [b"n5"]
    vm = dom0.read(home + b"/vm")
    assert vm == b"/vm/" + dom0.read(vm + b"/uuid")
    assert dom0.read(b"/local/domain/0/domid") == b"0"


def test_a_guest_may_write_only_where_it_was_let(hypervisor: EmbeddedHypervisor) -> None:
    with connect(hypervisor, 5) as guest:
        guest.write(b"data/mine", b"yes")
        assert guest.read(b"/local/domain/5/data/mine") == b"yes"
        assert guest.read(b"domid") == b"5"
        for path in (b"domid", b"device/9pfs/0/state", b"/local/domain/0/name"):
            with pytest.raises(pyxs.PyXSError):
                guest.write(path, b"no")


def test_watchers_hear_of_domains_that_come_and_go(
    hypervisor: EmbeddedHypervisor, dom0: Any
) -> None:
    with closing(dom0.monitor()) as monitor:
        monitor.watch(b"@introduceDomain", b"in")
        monitor.watch(b"@releaseDomain", b"out")
        events = monitor.wait(unwatched=True)
        seen = [next(events).token for _ in range(2)]
        hypervisor.create_domain(6)
        hypervisor.destroy_domain(6)
        seen += [next(events).token for _ in range(2)]
    assert seen == [b"in", b"out", b"in", b"out"]


def test_nothing_of_a_destroyed_domain_is_left_but_what_its_backends_own(
    hypervisor: EmbeddedHypervisor, dom0: Any
) -> None:
    dom0.write(b"/local/domain/5/device/9pfs/0/state", b"3")
    dom0.set_perms(b"/local/domain/5/device/9pfs/0", [b"n5", b"r0"])
    dom0.write(b"/local/domain/0/backend/xen_9pfs/5/0/state", b"4")
    hypervisor.destroy_domain(5)
    assert dom0.list(b"/local/domain") == [b"0"]
    assert dom0.list(b"/vm") == []
    assert dom0.read(b"/local/domain/0/backend/xen_9pfs/5/0/state") == b"4"


def test_the_next_domain_of_the_same_number_has_another_identity(
    hypervisor: EmbeddedHypervisor, dom0: Any
) -> None:
    before = dom0.read(b"/local/domain/5/vm")
    hypervisor.destroy_domain(5)
    hypervisor.create_domain(5)
    assert dom0.read(b"/local/domain/5/vm") != before
