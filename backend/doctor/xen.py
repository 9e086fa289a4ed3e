"""Xen itself: that it is there, that this is its Dom0, and the kernel's drivers for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from backend.doctor.finding import not_here, ok, problem, warning
from backend.platform.xen.libraries import EVTCHN, GNTALLOC, GNTDEV

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.doctor.finding import Area, Finding
    from backend.doctor.machine import Machine

_CAPABILITIES: Final = "/proc/xen/capabilities"


def _hypervisor(machine: Machine) -> Iterator[Finding]:
    if not machine.wants_xen:
        yield not_here(f"guests are served on platform {machine.config.platform}, without Xen")
    elif not machine.under_xen:
        yield problem(
            "this machine does not run under Xen (/sys/hypervisor/type), so it has no guests",
            "boot it under Xen; or try the program without: xen-fileproxy embedded run "
            "--dir /tmp/hv, and --platform embedded:/tmp/hv for the other commands",
        )
    else:
        major, minor, extra = (
            machine.text(f"/sys/hypervisor/version/{part}") or "?"
            for part in ("major", "minor", "extra")
        )
        yield ok(f"Xen {major}.{minor}{extra.removeprefix('?')}")


def _domain(machine: Machine) -> Iterator[Finding]:
    if not _is_xens(machine):
        yield not_here("no Xen, no Dom0")
        return
    text = machine.text(_CAPABILITIES)
    if text is None:
        yield problem(
            f"{_CAPABILITIES} is not there, by which xl too knows Dom0",
            "mount it: mount -t xenfs xenfs /proc/xen",
        )
    elif "control_d" in text.split(","):
        yield ok("this is Dom0")
    else:
        yield warning(
            "this is not Dom0",
            "serve from Dom0, unless the toolstack is told that this domain is a backend",
        )


def _drivers(machine: Machine) -> Iterator[Finding]:
    if not _is_xens(machine):
        yield not_here("no Xen, no devices of it")
        return
    for driver in (GNTDEV, EVTCHN):
        try:
            os.close(os.open(machine.path(driver.node), os.O_RDWR | os.O_CLOEXEC))
        except PermissionError as error:
            yield problem(f"{driver.node}: {error.strerror}", "run this as root")
        except OSError as error:
            yield problem(
                f"{driver.node}, which {driver.purpose}: {error.strerror}",
                f"modprobe {driver.module}; for each start: "
                f"echo {driver.module} >/etc/modules-load.d/{driver.module}.conf",
            )
        else:
            yield ok(f"{driver.node} {driver.purpose}")
    if machine.path(GNTALLOC.node).exists():
        yield ok(f"{GNTALLOC.node} {GNTALLOC.purpose}")
    else:
        yield not_here(f"{GNTALLOC.node} is xen-fileproxy-front's, which runs in guests")


def _is_xens(machine: Machine) -> bool:
    return machine.wants_xen and machine.under_xen


CHECKS: Final[Area] = {"hypervisor": _hypervisor, "domain": _domain, "drivers": _drivers}
