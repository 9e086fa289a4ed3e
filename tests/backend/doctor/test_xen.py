"""Whether this is a Dom0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.config import Config
from backend.doctor.finding import Verdict
from backend.doctor.xen import CHECKS

if TYPE_CHECKING:
    from tests.backend.doctor.conftest import Ground, Look


def test_a_dom0(ground: Ground, look: Look) -> None:
    ground.xen()
    machine = ground.machine()
    assert look(CHECKS["hypervisor"], machine) == [(Verdict.OK, "Xen 4.17.5")]
    assert look(CHECKS["domain"], machine) == [(Verdict.OK, "this is Dom0")]
    gntdev, evtchn, gntalloc = look(CHECKS["drivers"], machine)
    assert gntdev == (
        Verdict.OK,
        "/dev/xen/gntdev maps pages that other domains granted",
    )
    assert evtchn[0] is Verdict.OK
    assert gntalloc[0] is Verdict.NOT_HERE
    ground("/dev/xen/gntalloc")
    assert look(CHECKS["drivers"], machine)[2][0] is Verdict.OK


def test_a_xen_that_hides_its_version(ground: Ground, look: Look) -> None:
    ground("/sys/hypervisor/type", "xen\n")
    assert look(CHECKS["hypervisor"], ground.machine()) == [(Verdict.OK, "Xen ?.?")]


def test_a_guest(ground: Ground, look: Look) -> None:
    ground.xen()
    ground("/proc/xen/capabilities", "\n")
    assert look(CHECKS["domain"], ground.machine()) == [(Verdict.WARNING, "this is not Dom0")]


def test_a_dom0_without_xenfs_and_drivers(ground: Ground, look: Look) -> None:
    ground("/sys/hypervisor/type", "xen\n")
    machine = ground.machine()
    ((verdict, what),) = look(CHECKS["domain"], machine)
    assert verdict is Verdict.PROBLEM
    assert what.startswith("/proc/xen/capabilities is not there")
    gntdev, evtchn, _ = look(CHECKS["drivers"], machine)
    assert gntdev[0] is evtchn[0] is Verdict.PROBLEM
    assert "No such file or directory" in evtchn[1]


def test_no_xen(ground: Ground, look: Look) -> None:
    machine = ground.machine()
    ((verdict, what),) = look(CHECKS["hypervisor"], machine)
    assert verdict is Verdict.PROBLEM
    assert "does not run under Xen" in what
    for name in ("domain", "drivers"):
        ((verdict, _),) = look(CHECKS[name], machine)
        assert verdict is Verdict.NOT_HERE


def test_a_platform_without_xen(ground: Ground, look: Look) -> None:
    ground.xen()
    machine = ground.machine(Config(platform="embedded:/tmp/hv"))
    for check in CHECKS.values():
        ((verdict, _),) = look(check, machine)
        assert verdict is Verdict.NOT_HERE
