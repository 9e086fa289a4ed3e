"""Paths to devices: exactly one spelling counts."""

from __future__ import annotations

import pytest

from backend.supervisor.keys import DeviceKey, backend_root, device_of
from protocol.xenpv.ids import DOM0, Devid, Domid

ROOT = backend_root(DOM0)


def test_root_is_where_libxl_puts_the_class() -> None:
    assert ROOT == "/local/domain/0/backend/xen_9pfs"


@pytest.mark.parametrize("tail", ["5/0", "5/0/state", "5/0/a/b/c"])
def test_nodes_of_a_device(tail: str) -> None:
    key = device_of(ROOT, f"{ROOT}/{tail}")
    assert key == DeviceKey(Domid(5), Devid(0))
    assert str(key) == "d5/0"


@pytest.mark.parametrize(
    "path",
    [
        ROOT,
        f"{ROOT}/",
        f"{ROOT}/5",
        f"{ROOT}/5/",
        f"{ROOT}/05/0",
        f"{ROOT}/5/00",
        f"{ROOT}/+5/0",
        f"{ROOT}/-5/0",
        f"{ROOT}/ 5/0",
        f"{ROOT}/5_0/0",
        f"{ROOT}/\u0665/0",  # a digit, but not an ASCII one
        f"{ROOT}/\u00b2/0",
        f"{ROOT}/32752/0",  # DOMID_FIRST_RESERVED
        f"{ROOT}/5/2147483648",
        f"{ROOT}/5/99999999999999999999",
        f"{ROOT}/x/0",
        f"{ROOT}2/5/0",
        "@releaseDomain",
        "",
    ],
)
def test_everything_else_is_none(path: str) -> None:
    assert device_of(ROOT, path) is None
