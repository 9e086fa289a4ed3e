from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.platform import open_platform
from backend.platform.embedded.hypervisor import EmbeddedHypervisor
from backend.platform.embedded.toolstack import dom0_store, guest_store
from backend.platform.xen.presence import under_xen
from protocol.xenpv.ids import Domid

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("domid", [0, 7])
def test_the_domain_is_the_one_that_xenstore_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, domid: int
) -> None:
    with EmbeddedHypervisor.start(tmp_path) as hypervisor:
        hypervisor.create_domain(Domid(7))
        rundir = str(hypervisor.rundir)
        path = guest_store(rundir, Domid(domid)) if domid else dom0_store(rundir)
        monkeypatch.setenv("XENSTORED_PATH", path)
        platform = open_platform("xen")
        assert platform.own_domid == domid
        assert platform.own_domid == domid
        platform.close()


@pytest.mark.skipif(under_xen(), reason="this machine runs under Xen")
def test_without_xenstore_it_says_where_it_looked_and_what_there_is_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "nothing"
    monkeypatch.setenv("XENSTORED_PATH", str(missing))
    with pytest.raises(FileNotFoundError, match=r"does not run under Xen .*embedded run") as error:
        open_platform("xen").store()
    assert str(missing) in str(error.value)
