"""Writes the manual pages and the completion scripts: ``python3 -m tools.manual DIRECTORY``.

The pages' date is ``SOURCE_DATE_EPOCH``, where a package is built, or today.
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from backend import cli
from frontend_stub import cli as front
from tools.manual.completion import completion
from tools.manual.grammar import read
from tools.manual.pages import Edition, configuration_page, program_page

SOURCE: Final = Path(__file__).parents[2]


def edition() -> Edition:
    """The project's version, and the day."""
    text = (SOURCE / "pyproject.toml").read_text(encoding="utf-8")
    now = os.environ.get("SOURCE_DATE_EPOCH")
    day = datetime.fromtimestamp(int(now), UTC) if now else datetime.now(UTC)
    return Edition(tomllib.loads(text)["project"]["version"], day.date())


def files() -> dict[str, str]:
    """Every file's text by its name."""
    this = edition()
    found = {"xen-fileproxy.toml.5": configuration_page(this)}
    for parser, section in ((cli.parser(), 8), (front.parser(), 1)):
        program = read(parser)
        found[f"{program.name}.{section}"] = program_page(program, section, this)
        found[program.name] = completion(program)
    return found


def main() -> int:
    """Write them all."""
    parser = argparse.ArgumentParser(prog="python3 -m tools.manual", description=__doc__)
    parser.add_argument("directory", metavar="DIRECTORY", type=Path)
    directory: Path = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (directory / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
