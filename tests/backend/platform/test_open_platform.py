from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from backend.platform import open_platform
from protocol.xenpv.ids import DOM0, Domid

if TYPE_CHECKING:
    from pathlib import Path


def test_the_embedded_platform_acts_for_the_domain_named() -> None:
    assert open_platform("embedded:/run/somewhere").own_domid == DOM0
    assert open_platform("embedded:/run/somewhere", domid=Domid(7)).own_domid == 7


@pytest.mark.parametrize("name", ["", "embedded", "embedded:", "xen:", "kvm"])
def test_other_names_are_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(OSError, match=r"neither xen nor embedded:RUNDIR") as error:
        open_platform(name)
    assert error.value.errno == errno.EINVAL


def test_without_a_hypervisor_each_port_says_how_to_start_one(tmp_path: Path) -> None:
    platform = open_platform(f"embedded:{tmp_path}")
    for make in (platform.grant_mapper, platform.grant_sharer, platform.event_channels):
        with pytest.raises(FileNotFoundError, match="does not run; start it with: xen-fileproxy"):
            make()
    platform.close()
