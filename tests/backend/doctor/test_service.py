"""How the program is installed, and whether it runs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backend.config import Config
from backend.doctor.finding import Verdict
from backend.doctor.machine import Machine
from backend.doctor.service import CHECKS, RULE, SCRIPT
from backend.hook.unit import UNIT

if TYPE_CHECKING:
    from tests.backend.doctor.conftest import Ground, Look
    from tests.backend.supervisor.program import Supervisor

DOM0 = Path(__file__).resolve().parents[3] / "tools" / "dom0"


def verdict(look: Look, name: str, machine: Machine) -> tuple[Verdict, str]:
    (found,) = look(CHECKS[name], machine)
    return found


def test_a_configuration(ground: Ground, look: Look) -> None:
    machine = ground.machine()
    assert verdict(look, "configuration", machine) == (
        Verdict.OK,
        "/etc/xen/xen-fileproxy.toml is not there: all keys have their defaults",
    )
    ground(machine.config_file)
    assert verdict(look, "configuration", machine)[1].endswith(" is good")
    bad = replace(machine, config_error="/etc/xen/xen-fileproxy.toml: not TOML")
    assert verdict(look, "configuration", bad) == (Verdict.PROBLEM, bad.config_error)


def test_a_run_directory(ground: Ground, look: Look) -> None:
    machine = ground.machine()
    assert verdict(look, "run directory", machine)[0] is Verdict.NOT_HERE
    path = ground(machine.config.run_dir)
    assert "not a directory" in verdict(look, "run directory", machine)[1]
    path.unlink()
    path.mkdir(mode=0o700)
    assert verdict(look, "run directory", machine)[0] is Verdict.OK
    path.chmod(0o770)
    found = verdict(look, "run directory", machine)
    assert found[0] is Verdict.PROBLEM
    assert found[1].endswith("mode 770")


def test_a_supervisor(supervisor: Supervisor, place: Path, platform: str, look: Look) -> None:
    machine = Machine(Config(platform=platform, run_dir=str(place / "run")))
    found = verdict(look, "supervisor", machine)
    assert found[0] is Verdict.OK
    assert found[1].endswith(f"process {supervisor.process.pid}, serves 0 devices")
    other = Machine(replace(machine.config, platform="xen"))
    found = verdict(look, "supervisor", other)
    assert found[0] is Verdict.PROBLEM
    assert f"serves platform {platform}, not xen" in found[1]


def test_no_supervisor(ground: Ground, look: Look) -> None:
    found = verdict(look, "supervisor", ground.machine())
    assert found[0] is Verdict.PROBLEM
    assert found[1].endswith("status.sock: no supervisor runs there")


def test_a_unit(ground: Ground, look: Look) -> None:
    machine = ground.machine()
    assert verdict(look, "systemd unit", machine)[0] is Verdict.NOT_HERE
    machine.path("/run/systemd/system").mkdir(parents=True)
    assert "is not installed" in verdict(look, "systemd unit", machine)[1]
    ground(f"/usr/lib/systemd/system/{UNIT}")
    assert "is not enabled" in verdict(look, "systemd unit", machine)[1]
    wants = ground(f"/etc/systemd/system/multi-user.target.wants/{UNIT}")
    assert verdict(look, "systemd unit", machine)[0] is Verdict.OK
    (wants.parents[1] / UNIT).symlink_to(os.devnull)
    assert verdict(look, "systemd unit", machine) == (Verdict.WARNING, f"{UNIT} is masked")


def test_a_rule(ground: Ground, look: Look) -> None:
    machine = ground.machine()
    assert verdict(look, "udev rule", machine)[0] is Verdict.NOT_HERE
    ground("/run/udev/control")
    assert "is not installed" in verdict(look, "udev rule", machine)[1]
    ground(f"/usr/lib/udev/rules.d/{RULE}")
    assert verdict(look, "udev rule", machine)[0] is Verdict.OK
    ground(f"/etc/udev/rules.d/{RULE}", "")
    assert "switches the rule off" in verdict(look, "udev rule", machine)[1]


def test_the_names_are_those_of_what_is_installed() -> None:
    assert (DOM0 / RULE).is_file()
    assert (DOM0 / UNIT).is_file()
    assert (DOM0 / os.path.basename(SCRIPT)).is_file()


def test_a_script(ground: Ground, look: Look) -> None:
    machine = ground.machine()
    assert "is not installed" in verdict(look, "hotplug script", machine)[1]
    path = ground(SCRIPT)
    assert "is not executable" in verdict(look, "hotplug script", machine)[1]
    path.chmod(0o755)
    assert verdict(look, "hotplug script", machine) == (Verdict.OK, f"{SCRIPT} is installed")
    embedded = replace(machine, config=Config(platform="embedded:/tmp/hv"))
    assert verdict(look, "hotplug script", embedded)[0] is Verdict.NOT_HERE
