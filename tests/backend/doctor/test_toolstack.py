"""Whose program libxl starts, and who serves already."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backend.config import Config, Stubdom
from backend.doctor.finding import Verdict
from backend.doctor.machine import Machine
from backend.doctor.toolstack import CHECKS
from backend.hook.places import INSTALLED, NAME, PROXY, launcher
from tests.backend.hook.programs import daemon

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backend.doctor.conftest import Ground, Look

PLACE = "/usr/lib/xen-4.20/bin/xen-9pfsd"


def test_no_libxl(ground: Ground, look: Look) -> None:
    ((verdict, _),) = look(CHECKS["libxl"], ground.machine())
    assert verdict is Verdict.NOT_HERE


def test_a_libxl_that_starts_nobody(ground: Ground, look: Look) -> None:
    ground("/usr/lib/xen-4.17/bin/xl")
    ((verdict, what),) = look(CHECKS["libxl"], ground.machine())
    assert verdict is Verdict.NOT_HERE
    assert "before Xen 4.19" in what


def test_theirs(ground: Ground, look: Look) -> None:
    path = ground(PLACE)
    ((verdict, what),) = look(CHECKS["libxl"], ground.machine())
    assert (verdict, what.startswith(f"{path} is Xen's own")) == (Verdict.WARNING, True)
    path.unlink()
    ((verdict, what),) = look(CHECKS["libxl"], ground.machine())
    assert (verdict, what.startswith(f"{path} is not there")) == (Verdict.WARNING, True)


@pytest.mark.parametrize(
    ("target", "verdict", "says"),
    [
        (launcher(), Verdict.OK, "libxl starts this program"),
        pytest.param(
            f"{INSTALLED}/{NAME}",
            Verdict.PROBLEM,
            "a program that is not there",
            marks=pytest.mark.skipif(
                os.path.exists(f"{INSTALLED}/{NAME}"), reason="it is installed here"
            ),
        ),
    ],
)
def test_ours(ground: Ground, look: Look, target: str, verdict: Verdict, says: str) -> None:
    path = ground(PLACE)
    path.unlink()
    path.symlink_to(target)
    ((found, what),) = look(CHECKS["libxl"], ground.machine())
    assert found is verdict
    assert says in what


AUTO = Config(stubdom=Stubdom(auto=True))


def test_stub_domains_are_given_nothing_by_themselves(ground: Ground, look: Look) -> None:
    ((verdict, what),) = look(CHECKS["stub domains"], ground.machine())
    assert (verdict, "auto is not set" in what) == (Verdict.NOT_HERE, True)


def test_the_directory_of_states(ground: Ground, look: Look) -> None:
    ((verdict, what),) = look(CHECKS["stub domains"], ground.machine(AUTO))
    assert verdict is Verdict.PROBLEM
    assert "can save and restore nothing" in what
    ground("/var/lib/xen/any")
    ((verdict, what),) = look(CHECKS["stub domains"], ground.machine(AUTO))
    assert (verdict, "/var/lib/xen/qemu-save.{target}" in what) == (Verdict.OK, True)
    elsewhere = replace(AUTO, allowed_exports=("/srv",))
    ((verdict, what),) = look(CHECKS["stub domains"], ground.machine(elsewhere))
    assert (verdict, "allowed-exports" in what) == (Verdict.PROBLEM, True)


def test_no_proxy(ground: Ground, look: Look) -> None:
    ((verdict, what),) = look(CHECKS["monitors"], ground.machine())
    assert (verdict, "no vchan-socket-proxy" in what) == (Verdict.NOT_HERE, True)


def test_a_proxy_that_is_xens_own_matters_where_there_are_channels(
    ground: Ground, look: Look
) -> None:
    path = ground(f"/usr/lib/xen-4.17/bin/{PROXY}")
    for config, expected in ((Config(), Verdict.NOT_HERE), (AUTO, Verdict.WARNING)):
        ((verdict, what),) = look(CHECKS["monitors"], ground.machine(config))
        assert (verdict, what.startswith(f"{path} is Xen's own")) == (expected, True)


@pytest.mark.parametrize(
    ("target", "verdict", "says"),
    [
        (launcher(PROXY), Verdict.OK, "through their channels"),
        pytest.param(
            f"{INSTALLED}/{PROXY}",
            Verdict.PROBLEM,
            "a program that is not there",
            marks=pytest.mark.skipif(
                os.path.exists(f"{INSTALLED}/{PROXY}"), reason="it is installed here"
            ),
        ),
    ],
)
def test_a_proxy_of_ours(
    ground: Ground, look: Look, target: str, verdict: Verdict, says: str
) -> None:
    path = ground(f"/usr/lib/xen-4.17/bin/{PROXY}")
    path.unlink()
    path.symlink_to(target)
    ((found, what),) = look(CHECKS["monitors"], ground.machine())
    assert (found, says in what) == (verdict, True)


def test_xens_daemon_is_seen(place: Path, look: Look) -> None:
    with daemon(place) as process:
        found = look(CHECKS["other backends"], Machine())
        expected = f"xen-9pfsd (process {process.pid}) serves 9pfs devices: two cannot"
        assert (Verdict.PROBLEM, expected) in found


def test_nobody_else_serves(ground: Ground, look: Look) -> None:
    ground.machine().path("/proc/1").mkdir(parents=True)
    found = look(CHECKS["other backends"], ground.machine())
    assert found == [(Verdict.OK, "no xen-9pfsd runs")]
