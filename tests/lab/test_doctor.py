"""``xen-fileproxy doctor`` in a Dom0 that serves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.lab.service import command

if TYPE_CHECKING:
    from tests.lab.service import Service

pytestmark = pytest.mark.lab

WELL = {"ok", "does not apply"}
CHOSEN = {"libxl", "monitors"}
"""Whose programs libxl starts is the administrator's choice: see install-hook."""


def test_all_is_well(service: Service) -> None:
    service.devices()
    document = json.loads(command("doctor", "--json"))
    complaints = [each for each in document["checks"] if each["verdict"] not in WELL]
    assert [each for each in complaints if each["check"] not in CHOSEN] == []
    assert document["problems"] == 0
    looked_at = {each["check"] for each in document["checks"] if each["verdict"] == "ok"}
    assert {"hypervisor", "domain", "drivers", "Xen's libraries", "connection"} <= looked_at
