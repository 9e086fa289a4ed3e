"""``make fuzz``: the fuzz targets of tests/fuzz under coverage guidance, for a given time.

Begins with the committed seeds and with what earlier runs found interesting (build/fuzz/TARGET).
A finding is written to build/fuzz/findings, and its input belongs into tests/fuzz/seeds/TARGET
together with the repair.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CORPUS: Final = ROOT / "build" / "fuzz"
NAMES: Final = tuple(sorted(path.stem for path in (ROOT / "tests/fuzz/targets").glob("[!_]*.py")))
MAX_INPUT: Final = 2048


class Outcome(NamedTuple):
    """How a run ended."""

    name: str
    executions: int
    corpus: int
    findings: list[Path]
    text: str


def fuzz(name: str, seconds: int) -> Outcome:
    """Run one target in a process of its own."""
    corpus, findings = CORPUS / name, CORPUS / "findings" / name
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    done = subprocess.run(
        [
            *(sys.executable, __file__, "--inside", name, str(corpus)),
            *(str(ROOT / "tests/fuzz/seeds" / name), f"-max_total_time={seconds}"),
            *(f"-artifact_prefix={findings}/", f"-max_len={MAX_INPUT}", "-print_final_stats=1"),
            *("-timeout=60", "-rss_limit_mb=4096"),
        ],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd=ROOT,
    )
    text = done.stdout + done.stderr
    counted = re.search(r"number_of_executed_units: (\d+)", text)
    found = sorted(set(findings.iterdir()) - before)
    if done.returncode and not found:
        raise SystemExit(f"{name}: the fuzzer did not run:\n{text[-2000:]}")
    executions = int(counted[1]) if counted else 0
    return Outcome(name, executions, len(list(corpus.iterdir())), found, text)


def inside(arguments: list[str]) -> None:
    """The fuzzing process: instruments our packages, then never returns."""
    import atheris

    name, *options = arguments
    with atheris.instrument_imports(include=["protocol", "backend"]):
        from tests.fuzz.target import load

        target = load(name)
    atheris.Setup([name, *options], target.run)
    atheris.Fuzz()


def report(outcome: Outcome, seconds: float) -> None:
    """One line, and each finding with the end of its traceback."""
    print(
        f"{outcome.name:<10}{outcome.executions:>12,} executions in {seconds:,.0f} s,"
        f"{outcome.corpus:>6} inputs kept, {len(outcome.findings)} findings",
        flush=True,
    )
    for finding in outcome.findings:
        print(f"  {finding}\n{outcome.text[-1500:]}")


def main() -> int:
    """Fuzz, report; the exit status says whether something was found."""
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2:])
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: make fuzz ARGS='--seconds 600 session ring'",
    )
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)} (default: all)"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(NAMES)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    os.nice(5)
    found = 0
    for name in arguments.targets or NAMES:
        start = time.monotonic()
        outcome = fuzz(name, arguments.seconds)
        report(outcome, time.monotonic() - start)
        found += len(outcome.findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
