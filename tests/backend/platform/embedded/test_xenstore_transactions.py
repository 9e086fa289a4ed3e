"""Transactions: what they see, what they change, when they conflict."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from backend.platform.embedded.xenstore_limits import Limits
from backend.platform.embedded.xenstore_state import State
from backend.platform.embedded.xenstore_wire import Op
from tests.backend.platform.xenstore_clients import LocalClient, fails


@pytest.fixture
def state() -> State:
    state = State()
    state.introduce(5)
    return state


@pytest.fixture
def dom0(state: State) -> LocalClient:
    return LocalClient(state)


@pytest.fixture
def other(state: State) -> LocalClient:
    return LocalClient(state)


def test_changes_are_seen_inside_at_once_and_outside_after_the_commit(
    dom0: LocalClient, other: LocalClient
) -> None:
    dom0.write(b"/a/old", b"1")
    tx = dom0.start()
    dom0.write(b"/a/new/deep", b"2", tx)
    dom0.rm(b"/a/old", tx)
    dom0.chmod(b"/a", b"r0", tx)
    assert dom0.children(b"/a", tx) == [b"new"]
    assert dom0.read(b"/a/new/deep", tx) == b"2"
    assert dom0.permissions(b"/a", tx) == b"r0"
    with fails(errno.ENOENT):
        dom0.read(b"/a/old", tx)
    assert other.children(b"/a") == [b"old"]
    assert other.permissions(b"/a") == b"n0"
    dom0.end(tx)
    assert other.children(b"/a") == [b"new"]
    assert other.read(b"/a/new/deep") == b"2"
    assert other.permissions(b"/a") == b"r0"


def test_an_aborted_transaction_changes_nothing(dom0: LocalClient) -> None:
    tx = dom0.start()
    dom0.write(b"/a", b"1", tx)
    dom0.end(tx, b"F")
    with fails(errno.ENOENT):
        dom0.read(b"/a")
    with fails(errno.ENOENT):
        dom0.read(b"/a", tx)


def test_a_connection_takes_its_open_transactions_with_it(dom0: LocalClient, state: State) -> None:
    gone = LocalClient(state)
    gone.write(b"/a", b"1", gone.start())
    gone.session.reset()
    with fails(errno.ENOENT):
        dom0.read(b"/a")
    assert not state.usage.transactions


def find_nothing(client: LocalClient, tx: int) -> None:
    with fails(errno.ENOENT):
        client.read(b"/a/n", tx)


def replace_by_the_same(client: LocalClient) -> None:
    client.rm(b"/a/b")
    client.write(b"/a/b", b"0")


Mine = Callable[[LocalClient, int], object]
Theirs = Callable[[LocalClient], object]

CONFLICTS: dict[str, tuple[Mine, Theirs]] = {
    "read a value that was then written": (
        lambda c, tx: c.read(b"/a/b", tx),
        lambda c: c.write(b"/a/b"),
    ),
    "wrote a value that was then written": (
        lambda c, tx: c.write(b"/a/b", b"1", tx),
        lambda c: c.write(b"/a/b"),
    ),
    "listed children, then one was added": (
        lambda c, tx: c.children(b"/a", tx),
        lambda c: c.write(b"/a/n"),
    ),
    "listed children, then one was removed": (
        lambda c, tx: c.children(b"/a", tx),
        lambda c: c.rm(b"/a/b"),
    ),
    "read permissions that were then set": (
        lambda c, tx: c.permissions(b"/a", tx),
        lambda c: c.chmod(b"/a", b"r0"),
    ),
    "found nothing where something was then made": (
        find_nothing,
        lambda c: c.write(b"/a/n"),
    ),
    "created what another then created": (
        lambda c, tx: c.write(b"/a/n", b"1", tx),
        lambda c: c.write(b"/a/n"),
    ),
    "created beside what another then created": (
        lambda c, tx: c.write(b"/a/n", b"1", tx),
        lambda c: c.write(b"/a/m"),
    ),
    "removed a subtree in which a node was then made": (
        lambda c, tx: c.rm(b"/a", tx),
        lambda c: c.write(b"/a/b/c"),
    ),
    "wrote below what was then removed": (
        lambda c, tx: c.write(b"/a/b/c", b"1", tx),
        lambda c: c.rm(b"/a/b"),
    ),
    "read what was then removed and made again the same": (
        lambda c, tx: c.read(b"/a/b", tx),
        replace_by_the_same,
    ),
}


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_conflicts(dom0: LocalClient, other: LocalClient, conflict: str) -> None:
    mine, theirs = CONFLICTS[conflict]
    dom0.write(b"/a/b", b"0")
    tx = dom0.start()
    mine(dom0, tx)
    theirs(other)
    with fails(errno.EAGAIN):
        dom0.end(tx)
    with fails(errno.ENOENT):
        dom0.end(tx)


@pytest.mark.parametrize(
    "conflict", [name for name, (mine, _) in CONFLICTS.items() if mine is not find_nothing]
)
def test_the_same_changes_before_the_first_touch_do_not_conflict(
    dom0: LocalClient, other: LocalClient, conflict: str
) -> None:
    mine, theirs = CONFLICTS[conflict]
    dom0.write(b"/a/b", b"0")
    tx = dom0.start()
    theirs(other)
    mine(dom0, tx)
    dom0.end(tx)


def test_transactions_on_different_nodes_do_not_conflict(
    dom0: LocalClient, other: LocalClient
) -> None:
    dom0.write(b"/a/x", b"0")
    dom0.write(b"/b/x", b"0")
    mine, theirs = dom0.start(), other.start()
    dom0.write(b"/a/x", dom0.read(b"/a/x", mine) + b"1", mine)
    other.write(b"/b/x", other.read(b"/b/x", theirs) + b"1", theirs)
    dom0.end(mine)
    other.end(theirs)
    assert dom0.read(b"/a/x") == dom0.read(b"/b/x") == b"01"


def test_of_two_that_read_each_others_node_the_second_fails(
    dom0: LocalClient, other: LocalClient
) -> None:
    dom0.write(b"/a", b"0")
    dom0.write(b"/b", b"0")
    mine, theirs = dom0.start(), other.start()
    dom0.read(b"/a", mine)
    other.read(b"/b", theirs)
    dom0.write(b"/b", b"1", mine)
    other.write(b"/a", b"1", theirs)
    dom0.end(mine)
    with fails(errno.EAGAIN):
        other.end(theirs)


def test_events_come_with_the_commit_and_once_per_node(
    dom0: LocalClient, other: LocalClient
) -> None:
    dom0.write(b"/a/gone/below")
    other.watch(b"/a", b"t")
    other.watch(b"/a/gone/below", b"inside")
    other.take_events()
    tx = dom0.start()
    dom0.write(b"/a/x", b"1", tx)
    dom0.write(b"/a/x", b"2", tx)
    dom0.rm(b"/a/gone", tx)
    assert other.take_events() == []
    dom0.end(tx)
    assert other.take_events() == [
        (b"/a/x", b"t"),
        (b"/a/gone/below", b"inside"),
        (b"/a/gone", b"t"),
    ]
    tx = dom0.start()
    dom0.write(b"/a/x", b"3", tx)
    dom0.end(tx, b"F")
    assert other.take_events() == []


def test_a_node_removed_inside_and_made_again_is_told_of_once_to_all_above(
    dom0: LocalClient, other: LocalClient
) -> None:
    dom0.write(b"/a/b/c")
    other.watch(b"/a/b", b"t")
    other.take_events()
    tx = dom0.start()
    dom0.rm(b"/a", tx)
    dom0.write(b"/a/b/c", b"", tx)
    dom0.end(tx)
    assert sorted(other.take_events()) == [(b"/a/b", b"t"), (b"/a/b/c", b"t")]


def test_what_a_transaction_may_not(dom0: LocalClient, other: LocalClient) -> None:
    tx = dom0.start()
    with fails(errno.ENOENT):
        other.read(b"/", tx)
    with fails(errno.EBUSY):
        dom0.request(Op.TRANSACTION_START, b"\0", tx=tx)
    with fails(errno.ENOENT):
        dom0.request(Op.TRANSACTION_START, b"\0", tx=tx + 1)
    with fails(errno.EINVAL):
        dom0.request(Op.TRANSACTION_END, b"X\0", tx=tx)
    with fails(errno.ENOENT):
        dom0.end(0)
    dom0.end(tx)


def test_numbers_of_transactions_wrap_past_zero_and_open_ones(dom0: LocalClient) -> None:
    first = dom0.start()
    dom0.session._next_transaction = 0xFFFFFFFF
    assert dom0.start() == 0xFFFFFFFF
    assert dom0.start() not in (0, first, 0xFFFFFFFF)


def test_a_guests_transaction_touches_a_bounded_number_of_nodes() -> None:
    state = State(Limits(transaction_nodes=4))
    state.introduce(5)
    dom0, guest = LocalClient(state), LocalClient(state, 5)
    dom0.chmod(b"/tool", b"b0")
    tx = guest.start()
    for name in (b"a", b"b", b"c"):
        guest.write(b"/tool/" + name, b"", tx)
    with fails(errno.ENOSPC):
        guest.write(b"/tool/d", b"", tx)
    with fails(errno.ENOMEM):
        guest.end(tx)
    assert dom0.children(b"/tool") == [b"xenstored"]


def test_a_quota_reached_by_others_meanwhile_fails_the_commit() -> None:
    state = State(Limits(nodes=2))
    state.introduce(5)
    dom0, guest = LocalClient(state), LocalClient(state, 5)
    dom0.write(b"/a")
    dom0.write(b"/b")
    for path in (b"/a", b"/b"):
        dom0.chmod(path, b"b0")
    tx = guest.start()
    guest.write(b"/a/1", b"", tx)
    guest.write(b"/b/2")
    guest.write(b"/b/3")
    with fails(errno.ENOSPC):
        guest.end(tx)
    assert dom0.children(b"/a") == []
