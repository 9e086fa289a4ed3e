"""How a command says that it could not do its work."""

from __future__ import annotations


class CommandError(Exception):
    """Ends the command with exit code 1 and this one line, which names the input and the remedy."""
