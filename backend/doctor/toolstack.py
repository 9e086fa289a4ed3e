"""What libxl starts for ``p9`` devices and monitors, who serves beside us, and stub domains."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from backend.doctor.finding import not_here, ok, problem, warning
from backend.exports import check_share
from backend.hook.daemon import daemons
from backend.hook.places import NAME, PROXY, Hook, proxies, state
from backend.stubdom.state_share import state_share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.doctor.finding import Area, Finding
    from backend.doctor.machine import Machine


_ANY_TARGET: Final = 1


def _hook(machine: Machine) -> Iterator[Finding]:
    found = state(root=str(machine.root))
    if not found:
        yield not_here("no libxl is found here; install-hook --libexec DIR names another place")
    for directory, hook in found.items():
        yield _judged(os.path.join(directory, NAME), hook)


def _judged(path: str, hook: Hook) -> Finding:
    if hook is Hook.OLD:
        return not_here(f"{path}: libxl starts no backend before Xen 4.19; attach shares instead")
    if hook is Hook.THEIRS:
        return warning(
            f"{path} is Xen's own: libxl starts it when nobody serves",
            "to have libxl start this program: xen-fileproxy install-hook",
        )
    if hook is Hook.NONE:
        return warning(
            f"{path} is not there: libxl can start no backend",
            "to have libxl start this program: xen-fileproxy install-hook",
        )
    if not os.access(path, os.X_OK):
        return problem(
            f"{path} leads to a program that is not there: libxl can start no backend",
            "install xen-fileproxy again, or: xen-fileproxy remove-hook",
        )
    return ok(f"{path}: libxl starts this program")


def _rivals(machine: Machine) -> Iterator[Finding]:
    others = daemons(str(machine.path("/proc")))
    if not others:
        yield ok("no xen-9pfsd runs")
    for pid in others:
        yield problem(
            f"xen-9pfsd (process {pid}) serves 9pfs devices: two cannot",
            "xen-fileproxy install-hook ends it and takes its place",
        )


def _stub_domains(machine: Machine) -> Iterator[Finding]:
    stubdom = machine.config.stubdom
    if not stubdom.auto:
        yield not_here("stub domains are given a share by hand ([stubdom] auto is not set)")
        return
    share = state_share(stubdom, machine.config.run_dir, _ANY_TARGET)
    files = tuple(file._replace(path=str(machine.path(file.path))) for file in share.files)
    bad = check_share(replace(share, files=files), machine.config.allowed_exports)
    if bad is None:
        yield ok(f"each stub domain is given its state share: {stubdom.save}, {stubdom.restore}")
    else:
        yield problem(
            f"stub domains can save and restore nothing: {bad}",
            "make the directory of save and restore in [stubdom], and list it in allowed-exports",
        )


def _proxies(machine: Machine) -> Iterator[Finding]:
    found = proxies(root=str(machine.root))
    if not found:
        yield not_here("no vchan-socket-proxy is found: libxl can start no Linux stub domain")
    for directory, hook in found.items():
        yield _judged_proxy(machine, os.path.join(directory, PROXY), hook)


def _judged_proxy(machine: Machine, path: str, hook: Hook) -> Finding:
    if hook is Hook.OURS and not os.access(path, os.X_OK):
        return problem(
            f"{path} leads to a program that is not there: libxl can start no Linux stub domain",
            "install xen-fileproxy again, or: xen-fileproxy remove-hook",
        )
    if hook is Hook.OURS:
        return ok(f"{path}: libxl reaches the monitors of stub domains through their channels")
    if machine.config.stubdom.auto:
        return warning(
            f"{path} is Xen's own: libxl does not use the channels of monitors",
            "to have libxl use them: xen-fileproxy install-hook",
        )
    return not_here(f"{path} is Xen's own, for stub domains with a vchan")


CHECKS: Final[Area] = {
    "libxl": _hook,
    "other backends": _rivals,
    "stub domains": _stub_domains,
    "monitors": _proxies,
}
