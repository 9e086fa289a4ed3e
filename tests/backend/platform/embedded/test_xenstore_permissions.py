"""Who may do what, by domain."""

from __future__ import annotations

import errno

import pytest

from backend.platform.embedded.xenstore_state import State
from backend.platform.embedded.xenstore_wire import Op
from tests.backend.platform.xenstore_clients import LocalClient, fails


@pytest.fixture
def state() -> State:
    state = State()
    for domid in (5, 6):
        state.introduce(domid)
    return state


@pytest.fixture
def dom0(state: State) -> LocalClient:
    return LocalClient(state)


@pytest.fixture
def guest(state: State) -> LocalClient:
    return LocalClient(state, 5)


@pytest.fixture
def other(state: State) -> LocalClient:
    return LocalClient(state, 6)


@pytest.mark.parametrize(
    ("entries", "reads", "writes"),
    [
        (b"n0", False, False),
        (b"r0", True, False),
        (b"w0", False, True),
        (b"b0", True, True),
        (b"n0,r5", True, False),
        (b"n0,w5", False, True),
        (b"n0,b5", True, True),
        (b"b0,n5", False, False),
        (b"n0,r6", False, False),
        (b"n5", True, True),
        (b"n5,n5", True, True),
        (b"n0,n5,b5", False, False),
        (b"n0,r32756", True, False),
    ],
)
def test_entries_grant_reading_and_writing(
    dom0: LocalClient, guest: LocalClient, entries: bytes, reads: bool, writes: bool
) -> None:
    dom0.write(b"/a", b"1")
    dom0.chmod(b"/a", entries)
    assert dom0.permissions(b"/a") == entries
    for allowed, action in (
        (reads, lambda: guest.read(b"/a")),
        (reads, lambda: guest.children(b"/a")),
        (reads, lambda: guest.permissions(b"/a")),
        (writes, lambda: guest.write(b"/a", b"2")),
        (writes, lambda: guest.mkdir(b"/a")),
    ):
        if allowed:
            action()
        else:
            with fails(errno.EACCES):
                action()


def test_a_readable_node_may_lie_in_a_closed_directory(
    dom0: LocalClient, guest: LocalClient
) -> None:
    dom0.write(b"/closed/open", b"1")
    dom0.chmod(b"/closed/open", b"r0")
    assert guest.read(b"/closed/open") == b"1"
    with fails(errno.EACCES):
        guest.children(b"/closed")


def test_absence_is_told_only_to_who_may_read_the_parent(
    dom0: LocalClient, guest: LocalClient
) -> None:
    dom0.write(b"/closed")
    dom0.write(b"/open")
    dom0.chmod(b"/open", b"r0")
    with fails(errno.EACCES):
        guest.read(b"/closed/no/thing")
    with fails(errno.ENOENT):
        guest.read(b"/open/no/thing")
    with fails(errno.EACCES):
        guest.write(b"/open/new")


def test_a_new_node_has_its_parents_entries_and_its_creator_as_owner(
    dom0: LocalClient, guest: LocalClient
) -> None:
    dom0.write(b"/d")
    dom0.chmod(b"/d", b"r0,b5,r6")
    guest.write(b"/d/sub/leaf")
    assert guest.permissions(b"/d/sub") == guest.permissions(b"/d/sub/leaf") == b"r5,b5,r6"
    dom0.write(b"/d/sub/by-dom0")
    assert dom0.permissions(b"/d/sub/by-dom0") == b"r5,b5,r6"


def test_only_the_owner_changes_permissions_and_only_dom0_the_owner(
    dom0: LocalClient, guest: LocalClient, other: LocalClient
) -> None:
    dom0.write(b"/a")
    dom0.chmod(b"/a", b"n5,b6")
    with fails(errno.EACCES):
        other.chmod(b"/a", b"n6")
    with fails(errno.EPERM):
        guest.chmod(b"/a", b"n6")
    guest.chmod(b"/a", b"r5,w6")
    assert dom0.permissions(b"/a") == b"r5,w6"
    dom0.chmod(b"/a", b"n6")
    with fails(errno.EACCES):
        guest.read(b"/a")


def test_an_owner_must_exist(dom0: LocalClient) -> None:
    dom0.write(b"/a")
    with fails(errno.ENOENT):
        dom0.chmod(b"/a", b"n77")


def test_an_entry_for_a_domain_yet_to_come_is_void_for_ever(
    state: State, dom0: LocalClient
) -> None:
    dom0.write(b"/a")
    dom0.chmod(b"/a", b"n0,b77")
    assert dom0.permissions(b"/a") == b"n0,b77"
    state.introduce(77)
    with fails(errno.EACCES):
        LocalClient(state, 77).read(b"/a")
    dom0.chmod(b"/a", b"n0,b77")
    LocalClient(state, 77).read(b"/a")


def test_a_released_domain_leaves_nothing_to_its_successor(state: State, dom0: LocalClient) -> None:
    dom0.write(b"/own/below")
    dom0.chmod(b"/own", b"n5")
    dom0.write(b"/kept", b"1")
    dom0.chmod(b"/kept", b"n0,r5,r6")
    state.release(5)
    with fails(errno.ENOENT):
        dom0.read(b"/own/below")
    assert dom0.permissions(b"/kept") == b"n0,r6"
    state.introduce(5)
    with fails(errno.EACCES):
        LocalClient(state, 5).read(b"/kept")


def test_a_device_model_has_its_targets_rights(
    state: State, dom0: LocalClient, other: LocalClient
) -> None:
    dom0.write(b"/a", b"1")
    dom0.chmod(b"/a", b"n5")
    with fails(errno.EACCES):
        other.read(b"/a")
    assert dom0.request(Op.SET_TARGET, b"6\x005\0") == b"OK\0"
    assert other.read(b"/a") == b"1"
    state.release(5)
    dom0.write(b"/a")
    state.introduce(5)
    dom0.chmod(b"/a", b"n5")
    with fails(errno.EACCES):
        other.read(b"/a")
    with fails(errno.ENOENT):
        dom0.request(Op.SET_TARGET, b"6\x0077\0")


def test_permissions_of_special_watches_can_be_set(dom0: LocalClient, guest: LocalClient) -> None:
    with fails(errno.EACCES):
        guest.permissions(b"@releaseDomain")
    dom0.chmod(b"@releaseDomain", b"n0,r5")
    assert guest.permissions(b"@releaseDomain") == b"n0,r5"
    with fails(errno.ENOENT):
        dom0.permissions(b"@other")
