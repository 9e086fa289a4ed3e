"""Each request as the protocol document gives it, on sessions without sockets."""

from __future__ import annotations

import errno

import pytest

from backend.platform.embedded.xenstore_state import State
from backend.platform.embedded.xenstore_wire import Op
from tests.backend.platform.xenstore_clients import LocalClient, fails


@pytest.fixture
def state() -> State:
    state = State()
    state.introduce(5)
    state.introduce(6)
    return state


@pytest.fixture
def dom0(state: State) -> LocalClient:
    return LocalClient(state)


@pytest.fixture
def guest(state: State, dom0: LocalClient) -> LocalClient:
    """Guest 5, with a home as libxl makes it."""
    dom0.write(b"/local/domain/5")
    dom0.chmod(b"/local/domain/5", b"n5")
    return LocalClient(state, 5)


def test_a_write_creates_parents_with_empty_values(dom0: LocalClient) -> None:
    dom0.write(b"/a/b/c", b"value")
    assert dom0.read(b"/a/b/c") == b"value"
    assert dom0.read(b"/a/b") == dom0.read(b"/a") == b""
    assert dom0.children(b"/a") == [b"b"]
    assert dom0.children(b"/a/b/c") == []


def test_a_value_is_any_bytes(dom0: LocalClient) -> None:
    value = bytes(range(256))
    dom0.write(b"/a", value)
    assert dom0.read(b"/a") == value
    dom0.write(b"/a", b"")
    assert dom0.read(b"/a") == b""


def test_children_are_listed_in_order_of_creation(dom0: LocalClient) -> None:
    for name in (b"z", b"a", b"m"):
        dom0.write(b"/d/" + name)
    dom0.rm(b"/d/a")
    dom0.write(b"/d/a")
    assert dom0.children(b"/d") == [b"z", b"m", b"a"]


def test_mkdir_leaves_a_value_alone(dom0: LocalClient) -> None:
    dom0.write(b"/a/b", b"kept")
    dom0.mkdir(b"/a/b")
    dom0.mkdir(b"/a/new/deep")
    assert dom0.read(b"/a/b") == b"kept"
    assert dom0.read(b"/a/new/deep") == b""


def test_rm_takes_everything_below(dom0: LocalClient) -> None:
    dom0.write(b"/a/b/c")
    dom0.write(b"/a/d")
    dom0.rm(b"/a")
    for path in (b"/a", b"/a/b", b"/a/b/c", b"/a/d"):
        with fails(errno.ENOENT):
            dom0.read(path)
    assert dom0.children(b"/") == [b"tool"]


def test_rm_of_what_is_not_there(dom0: LocalClient) -> None:
    dom0.rm(b"/nothing")
    with fails(errno.ENOENT):
        dom0.rm(b"/nothing/here")
    with fails(errno.EINVAL):
        dom0.rm(b"/")


def test_a_very_deep_path_can_be_made_and_removed(dom0: LocalClient) -> None:
    dom0.write(b"/a" * 1500)
    dom0.rm(b"/a")
    assert b"a" not in dom0.children(b"/")


def test_a_relative_path_begins_at_home(guest: LocalClient, dom0: LocalClient) -> None:
    guest.write(b"data/x", b"1")
    assert dom0.read(b"/local/domain/5/data/x") == b"1"
    dom0.write(b"x", b"0")
    assert dom0.read(b"/local/domain/0/x") == b"0"


@pytest.mark.parametrize(
    ("op", "payload"),
    [
        (Op.READ, b""),
        (Op.READ, b"/a"),
        (Op.READ, b"/a\0\0"),
        (Op.READ, b"/a\0b\0"),
        (Op.READ, b"\0"),
        (Op.READ, b"/a//b\0"),
        (Op.WRITE, b"/a"),
        (Op.WRITE, b"@releaseDomain\0"),
        (Op.DIRECTORY, b""),
        (Op.DIRECTORY_PART, b"/\0"),
        (Op.DIRECTORY_PART, b"/\0-1\0"),
        (Op.DIRECTORY_PART, b"/\0x\0"),
        (Op.DIRECTORY_PART, b"/\x000\0more\0"),
        (Op.MKDIR, b"/a/\0"),
        (Op.RM, b""),
        (Op.GET_PERMS, b""),
        (Op.SET_PERMS, b"/tool\0"),
        (Op.SET_PERMS, b"/tool\0x0\0"),
        (Op.SET_PERMS, b"/tool\0n\0"),
        (Op.SET_PERMS, b"/tool\0n65536\0"),
        (Op.SET_PERMS, b"/tool\0n0\0\0"),
        (Op.WATCH, b"/a\0"),
        (Op.WATCH, b"/a\0t\0extra\0"),
        (Op.WATCH, b"/a b\0t\0"),
        (Op.UNWATCH, b"/a\0"),
        (Op.INTRODUCE, b"5\x001\0"),
        (Op.INTRODUCE, b"0\x001\x001\0"),
        (Op.INTRODUCE, b"32752\x001\x001\0"),
        (Op.INTRODUCE, b"7\x001\x000\0"),
        (Op.RELEASE, b"0\0"),
        (Op.RELEASE, b"x\0"),
        (Op.RELEASE, b""),
        (Op.SET_TARGET, b"5\0"),
        (Op.GET_DOMAIN_PATH, b"\0"),
        (Op.GET_DOMAIN_PATH, b"65536\0"),
        (Op.IS_DOMAIN_INTRODUCED, b"-1\0"),
        (Op.CONTROL, b"kill\0"),
        (Op.CONTROL, b""),
    ],
)
def test_a_malformed_request_is_einval(dom0: LocalClient, op: Op, payload: bytes) -> None:
    with fails(errno.EINVAL):
        dom0.request(op, payload)


@pytest.mark.parametrize("op", [Op.WATCH_EVENT, Op.ERROR, 20, 23, 128, 0xFFFF, 2**32 - 1])
def test_other_types_are_enosys(dom0: LocalClient, op: int) -> None:
    with fails(errno.ENOSYS):
        dom0.request(op, b"\0")


@pytest.mark.parametrize(
    "op",
    [
        *(Op.CONTROL, Op.INTRODUCE, Op.RELEASE, Op.RESUME),
        *(Op.SET_TARGET, Op.IS_DOMAIN_INTRODUCED),
    ],
)
def test_what_only_dom0_may_do(guest: LocalClient, op: Op) -> None:
    with fails(errno.EACCES):
        guest.request(op, b"6\x001\x001\0")


def test_a_long_list_comes_in_parts(dom0: LocalClient) -> None:
    names = [b"a-name-of-some-length-%d" % number for number in range(1000)]
    for name in names:
        dom0.write(b"/d/" + name)
    with fails(errno.E2BIG):
        dom0.children(b"/d")
    got, generations = b"", set()
    while not got.endswith(b"\0\0"):
        part = dom0.request(Op.DIRECTORY_PART, b"/d\x00%d\0" % len(got))
        generation, _, piece = part.partition(b"\0")
        generations.add(generation)
        got += piece
        assert len(part) <= 4096
    assert got.split(b"\0")[:-2] == names
    assert len(generations) == 1
    dom0.write(b"/d/more")
    changed = dom0.request(Op.DIRECTORY_PART, b"/d\x000\0").partition(b"\0")[0]
    assert changed not in generations


def test_parts_of_an_empty_list_and_behind_the_end(dom0: LocalClient) -> None:
    dom0.write(b"/d")
    assert dom0.request(Op.DIRECTORY_PART, b"/d\x000\0").partition(b"\0")[2] == b"\0"
    assert dom0.request(Op.DIRECTORY_PART, b"/d\x0099\0").partition(b"\0")[2] == b"\0"


def test_domain_paths(guest: LocalClient) -> None:
    assert guest.request(Op.GET_DOMAIN_PATH, b"17\0") == b"/local/domain/17\0"
    assert guest.request(Op.GET_DOMAIN_PATH, b"0017\0") == b"/local/domain/17\0"


def test_control_prints_and_helps(dom0: LocalClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert dom0.request(Op.CONTROL, b"print\0hello\0") == b"OK\0"
    assert "hello" in caplog.text
    assert b"print" in dom0.request(Op.CONTROL, b"help\0")


def test_reset_drops_watches_and_transactions(dom0: LocalClient) -> None:
    dom0.watch(b"/", b"t")
    tx = dom0.start()
    assert dom0.request(Op.RESET_WATCHES, b"\0") == b"OK\0"
    dom0.take_events()
    dom0.write(b"/x")
    assert dom0.take_events() == []
    with fails(errno.ENOENT):
        dom0.read(b"/x", tx=tx)
