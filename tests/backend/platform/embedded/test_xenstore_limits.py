"""Every limit of a guest at its edge; Dom0 has none of them."""

from __future__ import annotations

import errno

from backend.platform.embedded.xenstore_limits import Limits
from backend.platform.embedded.xenstore_state import State
from backend.platform.embedded.xenstore_tree import Node, size_of
from tests.backend.platform.xenstore_clients import LocalClient, fails

HOME = b"/local/domain/5"


def make_guest(limits: Limits) -> tuple[LocalClient, LocalClient]:
    """Dom0 and guest 5, who owns one node: its home."""
    state = State(limits)
    for domid in (5, 6):
        state.introduce(domid)
    dom0 = LocalClient(state)
    dom0.write(HOME)
    dom0.chmod(HOME, b"n5")
    return dom0, LocalClient(state, 5)


def test_nodes() -> None:
    dom0, guest = make_guest(Limits(nodes=4))
    guest.write(b"a/b")
    with fails(errno.ENOSPC):
        guest.write(b"c/d")
    assert guest.children(HOME) == [b"a"]
    guest.write(b"c")
    with fails(errno.ENOSPC):
        guest.mkdir(b"d")
    guest.write(b"c", b"still writable")
    dom0.write(HOME + b"/by-dom0")
    guest.rm(b"a")
    guest.write(b"d")


def test_nodes_within_a_transaction() -> None:
    _, guest = make_guest(Limits(nodes=2))
    guest.write(b"a")
    tx = guest.start()
    with fails(errno.ENOSPC):
        guest.write(b"b", b"", tx)
    guest.rm(b"a", tx)
    guest.write(b"b", b"", tx)
    with fails(errno.ENOSPC):
        guest.write(b"c", b"", tx)
    guest.end(tx)
    assert guest.children(HOME) == [b"b"]


def test_a_node_given_away_counts_for_its_new_owner() -> None:
    dom0, guest = make_guest(Limits(nodes=2))
    guest.write(b"a")
    dom0.chmod(HOME + b"/a", b"n6")
    guest.write(b"b")
    dom0.chmod(HOME + b"/a", b"n5")
    dom0.rm(HOME + b"/b")
    with fails(errno.ENOSPC):
        guest.write(b"c")


def test_the_size_of_a_node() -> None:
    dom0, guest = make_guest(Limits(node_size=100))
    guest.write(b"a")
    room = 100 - size_of(Node(b"", guest.session.state.tree.get("/")[1]))  # type: ignore[index]
    guest.write(b"a", bytes(room))
    with fails(errno.ENOSPC):
        guest.write(b"a", bytes(room + 1))
    with fails(errno.ENOSPC):
        guest.write(b"b", bytes(room + 1))
    assert guest.read(b"a") == bytes(room)
    # A parent grows by the names of its children.
    with fails(errno.ENOSPC):
        guest.write(b"c" * room)
    assert guest.children(HOME) == [b"a"]
    with fails(errno.ENOSPC):
        guest.chmod(b"a", b"n5,r0")
    dom0.write(HOME + b"/a", bytes(4000))


def test_entries_of_permissions() -> None:
    dom0, guest = make_guest(Limits(permissions=3))
    guest.chmod(HOME, b"n5,r0,r6")
    with fails(errno.ENOSPC):
        guest.chmod(HOME, b"n5,r0,r6,r6")
    dom0.chmod(HOME, b"n5" + b",r6" * 100)


def test_the_length_of_a_path() -> None:
    dom0, guest = make_guest(Limits(path=20))
    guest.write(b"a" * 20)
    for action in (guest.read, guest.write, guest.mkdir, guest.rm):
        with fails(errno.EINVAL):
            action(b"a" * 21)
    dom0.write(HOME + b"/" + b"a" * 21)


def test_watches() -> None:
    dom0, guest = make_guest(Limits(watches=2))
    second = LocalClient(guest.session.state, 5)
    guest.watch(b"a", b"t")
    second.watch(b"a", b"t")
    for client in (guest, second):
        with fails(errno.E2BIG):
            client.watch(b"b", b"t")
    with fails(errno.EEXIST):
        guest.watch(b"a", b"t")
    second.session.reset()
    guest.watch(b"b", b"t")
    guest.unwatch(b"b", b"t")
    guest.watch(b"c", b"t")
    for number in range(200):
        dom0.watch(b"/", b"%d" % number)


def test_transactions() -> None:
    dom0, guest = make_guest(Limits(transactions=2))
    first = guest.start()
    guest.start()
    with fails(errno.ENOSPC):
        guest.start()
    guest.end(first)
    guest.start()
    for _ in range(100):
        dom0.start()


def test_the_default_limits_are_xenstoreds() -> None:
    limits = Limits()
    assert (limits.nodes, limits.node_size, limits.permissions) == (1000, 2048, 5)
    assert (limits.watches, limits.transactions, limits.transaction_nodes) == (128, 10, 1024)


def test_a_value_fills_a_packet_and_no_more() -> None:
    dom0, guest = make_guest(Limits())
    dom0.write(b"/a", bytes(4096 - 3))
    assert dom0.read(b"/a") == bytes(4093)
    with fails(errno.ENOSPC):
        guest.write(b"a", bytes(4080))
