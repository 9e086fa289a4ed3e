"""The program as it is installed and runs here."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from backend.commands.failure import CommandError
from backend.commands.supervisor import ask
from backend.doctor.finding import not_here, ok, problem, warning
from backend.hook.unit import UNIT
from backend.version import version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.doctor.finding import Area, Finding
    from backend.doctor.machine import Machine

RULE: Final = "60-xen-fileproxy.rules"
SCRIPT: Final = "/etc/xen/scripts/fileproxy"

_PACKAGE: Final = "install the Debian package (make deb), or copy the file from tools/dom0"

# systemd.unit(5) and udev(7) have the same order of precedence.
_PRECEDENCE: Final = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
_UNITS: Final = tuple(f"{directory}/systemd/system" for directory in _PRECEDENCE)
_RULES: Final = tuple(f"{directory}/udev/rules.d" for directory in _PRECEDENCE)


def _configuration(machine: Machine) -> Iterator[Finding]:
    file = machine.config_file
    if machine.config_error:
        yield problem(
            f"{machine.config_error}",
            f"mend it; xen-fileproxy check-config {file} looks at it again, and with --reference "
            "shows all keys",
        )
    elif machine.path(file).exists():
        yield ok(f"{file} is good")
    else:
        yield ok(f"{file} is not there: all keys have their defaults")


def _run_directory(machine: Machine) -> Iterator[Finding]:
    directory = machine.config.run_dir
    try:
        about = os.stat(machine.path(directory))
    except FileNotFoundError:
        yield not_here(f"{directory} is made by the supervisor when it starts")
        return
    if not stat.S_ISDIR(about.st_mode):
        yield problem(f"{directory} is not a directory", f"move it away: mv {directory} /root")
    elif about.st_uid != os.geteuid() or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield problem(
            f"{directory} is open to others: user {about.st_uid}, mode {about.st_mode & 0o7777:o}",
            f"chown {os.geteuid()} {directory}; chmod 700 {directory}",
        )
    else:
        yield ok(f"{directory} is ours alone")


def _supervisor(machine: Machine) -> Iterator[Finding]:
    path = str(machine.path(machine.config.status_socket))
    try:
        document = ask(path)
    except CommandError as error:
        yield problem(
            str(error).partition(";")[0], "systemctl start xen-fileproxy, or xen-fileproxy run"
        )
        return
    running, ours = document.get("version"), version()
    shown = f"version {running}, process {document.get('pid')}"
    if document.get("platform") != machine.config.platform:
        yield problem(
            f"{shown} serves platform {document.get('platform')}, not {machine.config.platform}",
            "restart it with this configuration: systemctl restart xen-fileproxy",
        )
    elif running != ours:
        yield warning(
            f"{shown} runs, but {ours} is installed",
            "systemctl restart xen-fileproxy; guests keep being served",
        )
    else:
        yield ok(f"{shown}, serves {len(document.get('devices', []))} devices")


def _unit(machine: Machine) -> Iterator[Finding]:
    if not machine.path("/run/systemd/system").is_dir():
        yield not_here("systemd does not run here")
        return
    found = _first(machine, _UNITS, UNIT)
    if found is None:
        yield warning(f"{UNIT} is not installed", _PACKAGE)
    elif _is_off(machine, found):
        yield warning(f"{UNIT} is masked", f"systemctl unmask {UNIT}")
    elif any(machine.path("/etc/systemd/system").glob(f"*.wants/{UNIT}")):
        yield ok(f"{found} is enabled")
    else:
        yield warning(
            f"{found} is not enabled: nobody serves after a restart of this machine",
            "systemctl enable --now xen-fileproxy",
        )


def _rule(machine: Machine) -> Iterator[Finding]:
    if not machine.path("/run/udev/control").exists():
        yield not_here("udev does not run here")
        return
    found = _first(machine, _RULES, RULE)
    if found is None:
        yield warning(f"{RULE} is not installed: new devices do not start the service", _PACKAGE)
    elif _is_off(machine, found):
        yield warning(f"{found} switches the rule off", f"rm {found}; udevadm control --reload")
    else:
        yield ok(f"{found} is installed")


def _script(machine: Machine) -> Iterator[Finding]:
    path = machine.path(SCRIPT)
    if not machine.wants_xen:
        yield not_here("hotplug scripts are Xen's toolstack's")
    elif not path.exists():
        yield warning(f"{SCRIPT} is not installed: script=fileproxy fails", _PACKAGE)
    elif not os.access(path, os.X_OK):
        yield warning(f"{SCRIPT} is not executable", f"chmod 755 {SCRIPT}")
    else:
        yield ok(f"{SCRIPT} is installed")


def _first(machine: Machine, directories: tuple[str, ...], name: str) -> str | None:
    """The file of this name that counts."""
    paths = (f"{directory}/{name}" for directory in directories)
    return next((path for path in paths if os.path.lexists(machine.path(path))), None)


def _is_off(machine: Machine, path: str) -> bool:
    """Whether an administrator put nothing in the file's place."""
    return (
        os.path.realpath(machine.path(path)) == os.devnull or not machine.path(path).stat().st_size
    )


CHECKS: Final[Area] = {
    "configuration": _configuration,
    "run directory": _run_directory,
    "supervisor": _supervisor,
    "systemd unit": _unit,
    "udev rule": _rule,
    "hotplug script": _script,
}
