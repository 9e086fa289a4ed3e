"""The systemd unit: systemd accepts it, and it forbids nothing that a worker's own walls allow."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from backend.confinement import seccomp
from backend.confinement.capabilities import CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID
from backend.confinement.plan import plan_for
from backend.share import Share

UNIT: Final = Path(__file__).parents[3] / "tools" / "dom0" / "xen-fileproxy.service"
CAPABILITIES: Final = {
    CAP_CHOWN: "CAP_CHOWN",
    CAP_DAC_OVERRIDE: "CAP_DAC_OVERRIDE",
    CAP_FOWNER: "CAP_FOWNER",
    CAP_FSETID: "CAP_FSETID",
}

pytestmark = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="needs systemd: apt install systemd"
)


def values(key: str) -> set[str]:
    """All words that the unit gives ``key``, on however many lines."""
    text = UNIT.read_text(encoding="utf-8")
    return {
        word for line in re.findall(f"^{key}=(.*)$", text, re.MULTILINE) for word in line.split()
    }


def systemd_analyze(*arguments: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def system_calls(names: set[str]) -> set[str]:
    """``names`` with systemd's groups resolved."""
    found = {name for name in names if not name.startswith("@")}
    for group in names - found:
        listing = systemd_analyze("syscall-filter", group).splitlines()[1:]
        inside = {line.strip() for line in listing if line.strip() and "#" not in line}
        assert inside, f"systemd knows no {group}"
        found |= system_calls(inside)
    return found


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # The program need not be installed here.
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/usr/bin/xen-fileproxy", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if UNIT.stem in line]) == (
        0,
        [],
    )


def test_what_guests_can_reach_of_dom0_stays_small() -> None:
    """systemd's measure, from 0 (safe) to 10; its threshold is in tenths."""
    systemd_analyze("security", "--offline=yes", "--threshold=40", str(UNIT))


def test_every_system_call_of_a_worker_is_allowed() -> None:
    allowed = system_calls(values("SystemCallFilter") | {"@default"})
    listed = seccomp.parse(seccomp.LIST.read_text(encoding="utf-8"))
    assert {rule.name for rule in listed if rule.action == "allow"} <= allowed


def test_a_worker_can_put_up_its_walls() -> None:
    allowed = system_calls(values("SystemCallFilter"))
    namespaces = {"unshare", "mount", "umount2", "pivot_root"}
    trees = {"open_tree", "move_mount", "mount_setattr"}
    landlock = {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}
    users = {"setresuid", "setresgid", "setgroups", "capset", "prctl", "seccomp", "prlimit64"}
    assert namespaces | trees | landlock | users <= allowed
    assert values("RestrictNamespaces") == {"mnt", "net", "ipc", "uts"}


def test_the_capabilities_of_every_share_are_there(tmp_path: Path) -> None:
    kept = plan_for(Share(str(tmp_path))).capabilities
    assert {CAPABILITIES[number] for number in kept} <= values("CapabilityBoundingSet")
