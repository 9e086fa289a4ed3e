"""A machine in a directory, with the files that a test puts there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.config import Config
from backend.doctor.machine import Machine
from tests.backend.supervisor.conftest import hypervisor, platform, supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backend.doctor.finding import Check, Finding, Verdict

    Look = Callable[[Check, Machine], list[tuple[Verdict, str]]]

__all__ = ["hypervisor", "platform", "supervisor"]


class Ground:
    """Makes files of the machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, name: str, text: str = "something\n", mode: int = 0o644) -> Path:
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def machine(self, config: Config | None = None) -> Machine:
        return Machine(config or Config(), "/etc/xen/xen-fileproxy.toml", root=self.root)

    def xen(self) -> None:
        """As in a Dom0."""
        self("/sys/hypervisor/type", "xen\n")
        for part, text in (("major", "4\n"), ("minor", "17\n"), ("extra", ".5\n")):
            self(f"/sys/hypervisor/version/{part}", text)
        self("/proc/xen/capabilities", "control_d\n")
        for name in ("gntdev", "evtchn"):
            self(f"/dev/xen/{name}")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a path short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="xf") as name:
        yield Path(name)


@pytest.fixture
def ground(place: Path) -> Ground:
    return Ground(place / "root")


@pytest.fixture
def look() -> Look:
    """What a check finds; each finding that is no praise has a remedy."""

    def findings(check: Check, machine: Machine) -> list[tuple[Verdict, str]]:
        found: list[Finding] = list(check(machine))
        for finding in found:
            assert bool(finding.remedy) == (finding.verdict.name in ("WARNING", "PROBLEM"))
            assert "\n" not in finding.what + finding.remedy
        return [(finding.verdict, finding.what) for finding in found]

    return findings
