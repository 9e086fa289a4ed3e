"""``make test``: every test, on all processors, with the branch coverage that the project promises.

Prints the coverage of ``protocol/`` and ``backend/fileserver/`` and fails below their floor.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARALLEL = ("-n", "auto", "--maxprocesses=4", "--dist=worksteal")
"""Whoever chooses tests wants to see one after the other; ``-n`` is pytest-xdist's."""
FLOORS = {"protocol/*": 95, "backend/fileserver/*": 95}


def main() -> int:
    """Run pytest under coverage, then report.  Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="make test",
        usage="%(prog)s [ARGS='ARGUMENTS OF PYTEST']",
        description=f"{__doc__} Where there are arguments, no floor is checked.",
        epilog="example: make test ARGS='tests/protocol -k ring'",
        allow_abbrev=False,
    )
    # pytest's options are not known here, and so neither is which words belong to them.
    _, arguments = parser.parse_known_args()
    python = sys.executable
    for stale in ROOT.glob(".coverage*"):
        stale.unlink()
    # Processes of the program under test are started with this variable, and so are measured too.
    environment = {**os.environ, "COVERAGE_PROCESS_START": str(ROOT / "pyproject.toml")}
    tests = subprocess.run(
        [python, "-m", "coverage", "run", "-m", "pytest", *(arguments or PARALLEL)],
        cwd=ROOT,
        env=environment,
        check=False,
    )
    subprocess.run([python, "-m", "coverage", "combine", "--quiet"], cwd=ROOT, check=False)
    if tests.returncode or arguments:
        return tests.returncode
    failed = 0
    for include, floor in FLOORS.items():
        print(f"\nbranch coverage of {include.removesuffix('/*')}/ (floor {floor} %)", flush=True)
        report = [python, "-m", "coverage", "report", f"--include={include}"]
        done = subprocess.run([*report, f"--fail-under={floor}"], cwd=ROOT, check=False)
        failed = failed or done.returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
