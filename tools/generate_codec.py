"""Writes protocol/ninep/messages.py and wire.py from the schema; ``--check``: are they stale?

The code written is straight-line: one ``struct`` call for each run of numbers, one slice for each
string, one check of the end.  ``tests/protocol/ninep`` proves it equal to the schema.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.codegen.tuples import messages_text  # noqa: E402 -- the path makes it importable
from tools.codegen.wire import wire_text  # noqa: E402 -- as above

REMEDY = "python tools/generate_codec.py"


def main() -> int:
    """Write the files, or with ``--check`` compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether they are stale")
    check = parser.parse_args().check
    stale = []
    for name, text in (("messages.py", messages_text()), ("wire.py", wire_text())):
        path = ROOT / "protocol" / "ninep" / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if not check:
            path.write_text(text)
    if stale and check:
        print(f"stale: {', '.join(stale)}; the schema has changed: run `{REMEDY}`")
        return 1
    if stale:
        print(f"written: {', '.join(stale)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
