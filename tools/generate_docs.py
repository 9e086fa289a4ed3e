"""Writes docs/protocol.md from the schema; ``--check`` says if it is stale."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from protocol.ninep import describe  # noqa: E402 -- the path above makes it importable

REMEDY = "python tools/generate_docs.py"


def main() -> int:
    """Write the page, or with ``--check`` compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is stale")
    check = parser.parse_args().check
    path = ROOT / "docs" / "protocol.md"
    text = describe.text()
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    if check:
        print(f"stale: docs/protocol.md; the schema has changed: run `{REMEDY}`")
        return 1
    path.write_text(text, encoding="utf-8")
    print("written: docs/protocol.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
