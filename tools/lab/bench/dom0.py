"""In Dom0: compares, and writes down what was found; how far it is goes to standard output."""

from __future__ import annotations

import argparse
import json

from tools.lab.bench import apart, together
from tools.lab.bench.jobs import JOBS
from tools.lab.bench.results import RESULTS


def arguments() -> argparse.Namespace:
    """What the host asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--apart", action="store_true", help="with Xen's daemon, not with QEMU")
    parser.add_argument("--turns", type=int, required=True)
    parser.add_argument("--only", nargs="*", choices=JOBS)
    parser.add_argument("--profile", nargs="*", choices=JOBS)
    parser.add_argument("--options", required=True, help="of all mounts")
    return parser.parse_args()


def main() -> None:
    """Measure and write down."""
    args = arguments()
    found = apart.measure(args) if args.apart else together.measure(args)
    RESULTS.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
