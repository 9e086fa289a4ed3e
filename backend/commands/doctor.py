"""``doctor``: looks at the whole Dom0, and says what to do."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, TextIO

from backend.commands.failure import CommandError
from backend.commands.options import add_config, add_run_dir, load_config
from backend.commands.table import printable
from backend.config import DEFAULT_PATH
from backend.doctor.finding import Verdict
from backend.doctor.machine import Machine

if TYPE_CHECKING:
    import argparse

    from backend.doctor.examination import Examined

HELP = "look at all that serving guests needs here, say what to do, and fail if there is a problem"
EXAMPLE = "xen-fileproxy doctor --json | jq '.checks[] | select(.verdict == \"problem\")'"

_STYLES: Final = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.PROBLEM: "bold red",
    Verdict.NOT_HERE: "dim",
}
_WORDS: Final = {verdict: verdict.value for verdict in Verdict} | {Verdict.NOT_HERE: "-"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_config(parser)
    add_run_dir(parser)
    parser.add_argument("--json", action="store_true", help="print everything, as JSON")


def run(args: argparse.Namespace) -> int:
    """Look, and print; 1 where there is a problem."""
    from backend.doctor.examination import examine

    found = list(examine(machine(args)))
    if args.json:
        sys.stdout.write(json.dumps(_document(found), indent=2) + "\n")
    else:
        show(found, sys.stdout)
    return 1 if _count(found, Verdict.PROBLEM) else 0


def machine(args: argparse.Namespace) -> Machine:
    """This machine.  A configuration that cannot be used is a finding, not an error."""
    file = args.config or DEFAULT_PATH
    try:
        return Machine(load_config(args), file)
    except CommandError as error:
        args.config = "/dev/null"
        return Machine(load_config(args), file, str(error))


def _count(found: list[Examined], verdict: Verdict) -> int:
    return sum(each.finding.verdict is verdict for each in found)


def show(found: list[Examined], out: TextIO) -> None:
    """For people: in colour on a terminal."""
    # That it is missing is one of the things to say.
    if out.isatty() and find_spec("rich"):
        _show_rich(found, out)
    else:
        _show_plain(found, out)


def _document(found: list[Examined]) -> dict[str, object]:
    return {
        "problems": _count(found, Verdict.PROBLEM),
        "warnings": _count(found, Verdict.WARNING),
        "checks": [
            {
                "area": each.area,
                "check": each.check,
                "verdict": each.finding.verdict.value,
                "what": each.finding.what,
                "remedy": each.finding.remedy,
            }
            for each in found
        ],
    }


def _summary(found: list[Examined]) -> str:
    problems, warnings = (_count(found, verdict) for verdict in (Verdict.PROBLEM, Verdict.WARNING))
    if not problems + warnings:
        return "all is well"
    return f"{problems} problem{'s' * (problems != 1)}, {warnings} warning{'s' * (warnings != 1)}"


def _show_plain(found: list[Examined], out: TextIO) -> None:
    for area, check, finding in found:
        verdict = _WORDS[finding.verdict]
        out.write(f"{verdict:8}{area}, {check}: {printable(finding.what)}\n")
        if finding.remedy:
            out.write(f"{'':8}-> {printable(finding.remedy)}\n")
    out.write(f"{_summary(found)}\n")


def _show_rich(found: list[Examined], out: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    shown = ""
    for area, check, finding in found:
        if area != shown:
            table.add_row(Text(area, style="bold"))
            shown = area
        # As Text: brackets in a path are no markup.
        what = Text(printable(finding.what))
        if finding.remedy:
            what.append(f"\n{printable(finding.remedy)}", style="cyan")
        verdict = Text(_WORDS[finding.verdict], style=_STYLES[finding.verdict])
        table.add_row(Text(f"  {check}"), verdict, what)
    console = Console(file=out)
    console.print(table)
    console.print(Text(_summary(found), style="bold"))
