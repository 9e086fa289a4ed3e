"""Runs the tests in Dom0, says how far they are, and fetches what came of them."""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from tools.lab.images import PROGRAM, TESTS
from tools.linux_guest.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tools.lab.machine import XenMachine

REPORT: Final = "/run/report.xml"
OUTPUT: Final = "/run/pytest.log"
ENDED: Final = "/run/tests-ended"
LOGS: Final = "/run/journal.log /var/log/xen-fileproxy.log /var/log/xen/*"
TEST_SECONDS: Final = 1200
"""For one test, on a machine that is busy with other things too."""
WIDEST: Final = 110
"""Characters of a test's name in the table; what a test is given may be far longer."""
TURN: Final = 10
"""Seconds that a look at the tests' output waits for their end, by the machine's clock."""
_LONGEST_LOOK: Final = 900
"""Seconds of the host's clock that a look may take: where the machine's counts instructions, one
of its seconds takes half a minute on a busy host."""


@dataclass(frozen=True)
class Outcome:
    """One test."""

    name: str
    verdict: str
    seconds: float
    why: str


def run(
    machine: XenMachine, options: Sequence[str], seconds: int, say: Callable[[str], object]
) -> list[Outcome]:
    """Those that ``options`` of pytest name and leave.  Raises ``GuestError``."""
    chosen = " ".join(map(shlex.quote, options))
    pytest = (
        # Where the program's version is written down, too.
        f"env PYTHONPATH=/{PROGRAM} python3 -m pytest -v"
        " -p no:cacheprovider -p tests.lab.minutes -m 'not long'"
        f" --timeout={TEST_SECONDS} --junit-xml={REPORT}"
    )
    follow(machine, f"{pytest} {chosen}", seconds, say)
    report = machine.run(f"cat {REPORT}")
    if report.status:
        raise GuestError(f"the tests did not end within {seconds} s")
    return outcomes(report.output)


def follow(machine: XenMachine, command: str, seconds: int, say: Callable[[str], object]) -> None:
    """Run a command in the source's folder and say what it prints while it runs."""
    machine.run(
        f"rm -f {ENDED}; cd /{TESTS} && (setsid timeout {seconds} {command} </dev/null "
        f">{OUTPUT} 2>&1; echo >{ENDED}) &"
    )
    seen = 0
    for _ in range(0, seconds + 2 * TURN, TURN):
        look = machine.run(
            f"for _ in $(seq {TURN}); do [ -e {ENDED} ] && break; sleep 1; done\n"
            f"tail -c +{seen + 1} {OUTPUT}\n[ -e {ENDED} ]",
            seconds=_LONGEST_LOOK,
        )
        seen += len(look.output.encode())
        say(look.output)
        if look.status == 0:
            return


def fetch_logs(machine: XenMachine, target: Path) -> None:
    """Keep Dom0's logs in ``target``."""
    machine.run("[ ! -d /run/systemd/system ] || journalctl --no-pager >/run/journal.log", 120)
    packed = machine.run(f"tar -cz {OUTPUT} {LOGS} 2>/dev/null | base64 -w 0", 120).output
    (target / "dom0-logs.tar.gz").write_bytes(base64.b64decode(packed))


def outcomes(report: str) -> list[Outcome]:
    """What a JUnit report says of each test."""
    found = []
    # It is our own Dom0's, and pytest's.
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314
        verdict, why = "ok", ""
        for tag, word in (("skipped", "skipped"), ("failure", "FAILED"), ("error", "FAILED")):
            for element in case.iter(tag):
                verdict, why = word, element.get("message") or ""
        module = (case.get("classname") or "").removeprefix("tests.")
        name = f"{module}.{case.get('name')}"
        found.append(Outcome(name, verdict, float(case.get("time") or 0), why))
    return found


def table(runs: Mapping[str, Sequence[Outcome]]) -> str:
    """A line per test, with a column per stack; and why, where a test did not pass."""
    names = dict.fromkeys(outcome.name for run in runs.values() for outcome in run)
    width = max((len(_shown(name)) for name in names), default=0)
    cells = {(stack, outcome.name): outcome for stack, run in runs.items() for outcome in run}
    lines = [f"{'':{width}}" + "".join(f"  {f'Debian {stack}':<18}" for stack in runs)]
    for name in names:
        found = [cells.get((stack, name)) for stack in runs]
        lines.append(
            f"{_shown(name):{width}}" + "".join(f"  {_cell(outcome):<18}" for outcome in found)
        )
        lines += [
            f"    {outcome.why.splitlines()[0][:130]}"
            for outcome in found
            if outcome and outcome.why
        ]
    return "\n".join(line.rstrip() for line in lines)


def _shown(name: str) -> str:
    return name if len(name) <= WIDEST else f"{name[: WIDEST - 3]}..."


def _cell(outcome: Outcome | None) -> str:
    return f"{outcome.verdict:8}{outcome.seconds:7.1f} s" if outcome else "-"
