"""Both programs as ``--help`` shows them: that is what must be found again elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Final, NamedTuple

from backend import cli
from frontend_stub import cli as front


class Program(NamedTuple):
    """One of them."""

    name: str
    module: str
    commands: tuple[str, ...]
    page: str

    def options(self, *command: str) -> set[str]:
        """The flags of a command, or of the program, read from what ``--help`` prints."""
        text = subprocess.run(
            [sys.executable, "-m", self.module, *command, "--help"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        # Where an option is described; texts mention options of other commands.
        heads = re.findall(r"^  (-.*?)(?:  |$)", text, re.MULTILINE)
        return {
            flag for head in heads for flag in re.findall(r"(?:^|\s)(--?[a-z][a-z0-9-]*)", head)
        }


PROGRAMS: Final = (
    Program("xen-fileproxy", "backend.cli", cli.COMMANDS, "xen-fileproxy.8"),
    Program("xen-fileproxy-front", "frontend_stub.cli", front.COMMANDS, "xen-fileproxy-front.1"),
)
