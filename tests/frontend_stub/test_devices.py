"""Finding the device that is meant."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from backend.share import Share
from backend.toolstack import attach
from frontend_stub.devices import FoundDevice, find_device, list_devices
from protocol.xenpv.ids import DOM0, Devid, Domid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from protocol.xenpv.ports import Store

GUEST = Domid(5)


@pytest.fixture
def dom0(hypervisor: EmbeddedHypervisor) -> Iterator[Store]:
    store = hypervisor.platform().store()
    yield store
    store.close()


@pytest.fixture
def guest(hypervisor: EmbeddedHypervisor) -> Iterator[Store]:
    store = hypervisor.platform(GUEST).store()
    yield store
    store.close()


def test_no_device(guest: Store) -> None:
    assert list_devices(guest) == []
    with pytest.raises(OSError, match="devices of this domain: none") as caught:
        find_device(guest)
    assert caught.value.errno == errno.ENODEV


def test_the_only_one_or_the_one_asked_for(dom0: Store, guest: Store) -> None:
    attach(dom0, DOM0, GUEST, Share("/a"), "one", devid=Devid(3))
    assert find_device(guest) == 3
    attach(dom0, DOM0, GUEST, Share("/b"), "two", devid=Devid(12))
    assert list_devices(guest) == [FoundDevice(Devid(3), "one"), FoundDevice(Devid(12), "two")]
    assert find_device(guest, tag="two") == 12
    assert find_device(guest, devid=3) == 3
    assert find_device(guest, tag="one", devid=3) == 3
    with pytest.raises(OSError, match=r"choose one .*: 3 \(tag one\), 12 \(tag two\)") as several:
        find_device(guest)
    assert several.value.errno == errno.EINVAL
    for asked in ({"tag": "three"}, {"tag": "one", "devid": 12}):
        with pytest.raises(OSError, match=r"no 9pfs device with") as missing:
            find_device(guest, **asked)
        assert missing.value.errno == errno.ENODEV


def test_names_that_are_no_numbers_are_passed_over(dom0: Store, guest: Store) -> None:
    attach(dom0, DOM0, GUEST, Share("/a"), "one", devid=Devid(0))
    guest.write("device/9pfs/0/tag", b"\xff")
    dom0.write("/local/domain/5/device/9pfs/rubbish/x", b"")
    assert list_devices(guest) == [FoundDevice(Devid(0), "\ufffd")]
