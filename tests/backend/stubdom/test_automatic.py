"""The share comes by itself, once, to stub domains alone, and goes with them."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Final

import pytest

from backend import toolstack
from backend.cli import main
from backend.config import load
from backend.platform import open_platform
from backend.share import Share
from backend.stubdom import automatic
from backend.stubdom.automatic import StateShares
from backend.supervisor.reactor import Reactor
from protocol.xenpv.ids import DOM0, Domid
from protocol.xenpv.nodes import value_of
from tests.backend.stubdom.libxl import say_stub_domain
from tests.backend.supervisor.program import wait_until
from tools.testbed import Testbed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.xenpv.ports import Store

CONFIG: Final = """\
[stubdom]
auto = true
save = "DIR/save.{target}"
restore = "DIR/resume.{target}"
"""
BACKEND: Final = "/local/domain/0/backend/xen_9pfs"


@pytest.fixture
def bed(leak_free: None) -> Iterator[Testbed]:
    with Testbed(config=CONFIG) as running:
        yield running


@pytest.fixture
def store(bed: Testbed) -> Iterator[Store]:
    with contextlib.closing(open_platform(bed.platform).store()) as store:
        yield store


def start(bed: Testbed, store: Store, target: int, domid: int) -> None:
    """A guest with its stub domain, as libxl makes them."""
    for number in (target, domid):
        bed.hypervisor.create_domain(number)
    say_stub_domain(store, target, domid)


def await_share(store: Store, domid: int) -> None:
    wait_until(lambda: value_of(store, f"{BACKEND}/{domid}/0/state") == b"2", "no share is offered")


def test_a_stub_domain_is_given_its_share_and_nothing_remains_of_it(
    bed: Testbed, store: Store
) -> None:
    for _ in range(2):  # the numbers come again, as they do after 32,000 domains
        start(bed, store, 4, 5)
        await_share(store, 5)
        assert "d5/0: state share for the device model of d4" in bed.log.read_text()
        assert store.read("/local/domain/5/device/9pfs/0/tag") == b"state"
        assert store.read(f"{BACKEND}/5/0/files/0/path") == f"{bed.dir}/save.4".encode()
        for end, owner in (("/local/domain/5/device/9pfs/0", "n5"), (f"{BACKEND}/5/0", "n0")):
            other = "r0" if owner == "n5" else "r5"
            assert store.get_permissions(end) == [owner, other]
            assert store.get_permissions(f"{end}/state") == [owner, other]
        for domid in (5, 4):
            bed.hypervisor.destroy_domain(domid)
        wait_until(lambda: value_of(store, f"{BACKEND}/5") is None, "nodes remain")
    assert value_of(store, f"{BACKEND}/4") is None


def test_each_is_given_its_own(bed: Testbed, store: Store) -> None:
    for target, domid in ((4, 5), (6, 7)):
        start(bed, store, target, domid)
        await_share(store, domid)
    assert store.read(f"{BACKEND}/5/0/channels/0/socket") == f"{bed.dir}/run/4/qmp".encode()
    assert store.read(f"{BACKEND}/7/0/channels/0/socket") == f"{bed.dir}/run/6/qmp".encode()


def test_a_domain_that_calls_itself_one_is_given_nothing(bed: Testbed, store: Store) -> None:
    bed.hypervisor.create_domain(4)
    bed.hypervisor.create_domain(5)
    store.set_permissions("/local/domain/5", ["n5"])
    with contextlib.closing(open_platform(bed.platform, domid=Domid(5)).store()) as own:
        own.write("/local/domain/5/target", b"4")
    # What comes later has been served: that one was looked at before.
    start(bed, store, 6, 7)
    await_share(store, 7)
    assert value_of(store, f"{BACKEND}/5") is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_next_supervisor_finds_what_is_there(
    bed: Testbed, store: Store, number: signal.Signals
) -> None:
    start(bed, store, 4, 5)
    await_share(store, 5)
    bed.restart_supervisor(number)
    start(bed, store, 6, 7)
    await_share(store, 7)
    assert store.list(f"{BACKEND}/5") == ["0"]


def test_one_that_came_while_no_supervisor_ran_is_given_its_share_later(
    bed: Testbed, store: Store
) -> None:
    assert bed.stop_supervisor() == 0
    start(bed, store, 4, 5)
    bed.restart_supervisor(signal.SIGTERM)
    await_share(store, 5)


def test_what_was_attached_by_hand_stays(bed: Testbed, store: Store) -> None:
    for domid in (4, 5):
        bed.hypervisor.create_domain(domid)
    toolstack.attach(store, DOM0, Domid(5), Share(str(bed.dir)), "state")
    say_stub_domain(store, 4, 5)
    await_share(store, 5)
    start(bed, store, 6, 7)
    await_share(store, 7)
    assert store.list(f"{BACKEND}/5") == ["0"]
    assert store.read(f"{BACKEND}/5/0/path") == str(bed.dir).encode()


def test_what_was_taken_away_by_hand_does_not_come_back(bed: Testbed, store: Store) -> None:
    start(bed, store, 4, 5)
    await_share(store, 5)
    options = ["--platform", bed.platform, "--config", str(bed.config)]
    assert main(["detach", "5", *options]) == 0
    start(bed, store, 6, 7)
    await_share(store, 7)
    assert value_of(store, f"{BACKEND}/5/0") is None


def test_what_xenstore_refuses_is_said_and_tried_again(
    bed: Testbed, store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a domain that may look, and nothing else."""
    monkeypatch.setattr(automatic, "_RETRY", 0.0)
    assert bed.stop_supervisor() == 0
    start(bed, store, 4, 5)
    bed.hypervisor.create_domain(9)
    for path in ("", "/4", "/4/image/device-model-domid", "/5", "/5/target"):
        store.set_permissions(f"/local/domain{path}", ["n0", "r5", "r9"])
    with (
        contextlib.closing(open_platform(bed.platform, domid=Domid(9)).store()) as weak,
        contextlib.closing(Reactor()) as reactor,
    ):
        shares = StateShares(weak, reactor, load(str(bed.config)), reactor.stop)

        def hear() -> None:
            for _, token in weak.events():
                shares.hear(token)
            shares.work()

        reactor.register(weak.fileno(), hear)
        shares.work()
        for number in range(1, 3):
            reactor.run()  # until it wants another turn
            said = [line for line in caplog.messages if "no state share yet" in line]
            assert said == ["d5: no state share yet: Permission denied"] * number
            shares.work()
        reactor.unregister(weak.fileno())


def test_without_the_key_nothing_is_attached(leak_free: None) -> None:
    with (
        Testbed() as bed,
        contextlib.closing(open_platform(bed.platform).store()) as store,
    ):
        start(bed, store, 4, 5)
        bed.attach(6, "--path", str(bed.dir))
        assert value_of(store, f"{BACKEND}/5") is None
