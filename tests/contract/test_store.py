"""What every platform's store must do; the adapter's own tests go further."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.xenpv.ports import Store, StoreView
    from tests.contract.conftest import Bed
    from tests.contract.peer import RemotePeer as Peer


@pytest.fixture
def store(bed: Bed) -> Iterator[Store]:
    platform = bed.dom0()
    store = platform.store()
    yield store
    store.close()
    platform.close()


@pytest.fixture
def home(bed: Bed) -> str:
    return f"/local/domain/{bed.guest}"


def wait_for(store: Store, event: tuple[str, str]) -> None:
    poll = select.poll()
    poll.register(store.fileno(), select.POLLIN)
    seen: list[tuple[str, str]] = []
    while event not in seen:
        assert poll.poll(10_000), f"no {event} but {seen}"
        seen += store.events()


def test_values_are_bytes_as_they_were_written(store: Store, home: str) -> None:
    for value in (b"", b"7", bytes(range(1, 256)), b"a\0b"):
        store.write(f"{home}/data/value", value)
        assert store.read(f"{home}/data/value") == value


def test_a_node_that_is_not_there(store: Store, home: str) -> None:
    with pytest.raises(FileNotFoundError):
        store.read(f"{home}/nothing")


def test_a_guest_has_its_own_home_and_no_other(
    bed: Bed, store: Store, home: str, guest: Peer
) -> None:
    guest.store_write(path="data/mine", value=b"hello".hex())
    assert store.read(f"{home}/data/mine") == b"hello"
    store.write(f"{home}/theirs", b"read me")
    store.set_permissions(f"{home}/theirs", ["n0", f"r{bed.guest}"])
    assert bytes.fromhex(guest.store_read(path="theirs")) == b"read me"
    for path in ("theirs", f"/local/domain/{bed.other}/data/x", "/local/domain/0/x"):
        with pytest.raises(PermissionError):
            guest.store_write(path=path, value="00")


def test_a_watch_fires_at_once_and_on_a_guests_write(store: Store, home: str, guest: Peer) -> None:
    store.watch(f"{home}/data", "token")
    wait_for(store, (f"{home}/data", "token"))
    guest.store_write(path="data/news", value=b"1".hex())
    wait_for(store, (f"{home}/data/news", "token"))


def test_a_domain_that_goes_is_announced(bed: Bed, store: Store, home: str) -> None:
    store.watch("@releaseDomain", "gone")
    wait_for(store, ("@releaseDomain", "gone"))
    bed.destroy(bed.guest)
    wait_for(store, ("@releaseDomain", "gone"))
    with pytest.raises(FileNotFoundError):
        store.read(home)


def test_a_transaction_is_seen_whole(store: Store, home: str) -> None:
    def body(view: StoreView) -> int:
        view.write(f"{home}/data/one", b"1")
        view.write(f"{home}/data/two", b"2")
        return 3

    assert store.transact(body) == 3
    assert (store.read(f"{home}/data/one"), store.read(f"{home}/data/two")) == (b"1", b"2")
