"""XenStore's connection is lost and comes back: guests notice nothing, and no change is missed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend import toolstack
from backend.platform.embedded.toolstack import dom0_store
from backend.platform.store import connect_store
from backend.share import Share
from protocol.xenpv.ids import DOM0, Devid, Domid
from protocol.xenpv.xenbus import XenbusState as S
from tests.backend.supervisor.guest import Guest
from tests.backend.supervisor.program import wait_until
from tests.lab.store_proxy import StoreProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from protocol.xenpv.ports import Store
    from tests.backend.supervisor.program import Supervisor


@pytest.fixture
def line(hypervisor: EmbeddedHypervisor, place: Path) -> Iterator[StoreProxy]:
    """What the supervisor takes for Dom0's XenStore; the toolstack here has the real one."""
    path = Path(dom0_store(str(place / "hv")))
    real = path.with_name("real")
    path.rename(real)
    with StoreProxy(path, real) as proxy:
        yield proxy
    real.rename(path)


@pytest.fixture
def store(line: StoreProxy, hypervisor: EmbeddedHypervisor, place: Path) -> Iterator[Store]:
    for domid in (5, 6):
        hypervisor.create_domain(domid)
    store = connect_store(str(Path(dom0_store(str(place / "hv"))).with_name("real")))
    yield store
    store.close()


def attach(store: Store, path: Path, domid: int, devid: int) -> None:
    share = Share(str(path))
    toolstack.attach(store, DOM0, Domid(domid), share, f"t{devid}", devid=Devid(devid))


def test_what_came_went_and_changed_meanwhile_is_seen(
    line: StoreProxy,
    store: Store,
    supervisor: Supervisor,
    hypervisor: EmbeddedHypervisor,
    export: Path,
) -> None:
    platform = f"embedded:{hypervisor.rundir}"
    for domid, devid in ((5, 0), (5, 1), (5, 2), (6, 0)):
        attach(store, export, domid, devid)
    with (
        Guest(platform, 5) as steady,
        Guest(platform, 5, 1) as unplugged,
        Guest(platform, 5, 2) as closing,
        Guest(platform, 6) as dead,
        Guest(platform, 5, 3) as new,
    ):
        for guest in (steady, unplugged, closing, dead):
            guest.connect()
        before = supervisor.device(5)
        assert before is not None
        line.cut()
        supervisor.wait_for_line("XenStore is lost, connecting again")
        assert steady.version()[4] == 101
        toolstack.ask_to_close(store, toolstack.ends(DOM0, Domid(5), Devid(1)))
        closing.say(S.CLOSED)
        hypervisor.destroy_domain(6)
        attach(store, export, 5, 3)
        assert steady.version()[4] == 101
        line.mend()
        supervisor.wait_for_line("XenStore is connected again, all watches are set")
        new.connect()
        assert new.version()[4] == 101
        unplugged.wait_backend(S.CLOSING)
        unplugged.disconnect()
        closing.wait_backend(S.CLOSED)
        wait_until(
            lambda: store.list("/local/domain/0/backend/xen_9pfs") == ["5"], "the dead one is left"
        )
        # The one in the middle of its work has noticed nothing.
        after = supervisor.device(5)
        assert after is not None
        assert (after["pid"], after["state"]) == (before["pid"], "connected")
        assert steady.version()[4] == 101
        steady.disconnect()
        new.disconnect()


def test_it_stops_without_xenstore_and_leaves_those_who_serve(
    line: StoreProxy, store: Store, supervisor: Supervisor, platform: str, export: Path
) -> None:
    """``supervisor`` ends, with its workers, although nobody can be told."""
    attach(store, export, 5, 0)
    with Guest(platform, 5) as guest:
        guest.connect()
        line.cut()
        supervisor.wait_for_line("XenStore is lost, connecting again")
        assert supervisor.stop() == 0
        assert os.listdir(supervisor.run_dir / "workers") == []
        line.mend()
        assert guest.backend_state() is S.CONNECTED  # nobody could say otherwise
