"""A command line as data, read from its argparse parser: what ``--help`` says, for other forms."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ONE_LINE = 10_000
"""Columns for a usage that is not wrapped: whoever shows it does that."""


@dataclass(frozen=True)
class Argument:
    """An option, or an operand where ``flags`` is empty."""

    flags: tuple[str, ...]
    value: str
    """What follows the flags, or stands for the operand; empty where nothing does."""
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class Group:
    """Arguments under a title of ``--help``."""

    title: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Command:
    """A program or one of its commands."""

    name: str
    """The program's, or the words that choose the command."""
    description: str
    usage: str
    groups: tuple[Group, ...]
    notes: dict[str, str]
    """What stands below the options, by its title (``example``, ``exit codes``)."""
    commands: tuple[Command, ...] = field(default=())

    @property
    def options(self) -> tuple[Argument, ...]:
        """All arguments that have a flag."""
        return tuple(argument for argument in self._all() if argument.flags)

    @property
    def operands(self) -> tuple[Argument, ...]:
        """All that have none."""
        return tuple(argument for argument in self._all() if not argument.flags)

    def below(self) -> Iterator[Command]:
        """All its commands, and theirs."""
        for command in self.commands:
            yield command
            yield from command.below()

    def _all(self) -> Iterator[Argument]:
        for group in self.groups:
            yield from group.arguments


def read(parser: argparse.ArgumentParser, name: str = "") -> Command:
    """The command line of ``parser``, with the commands below it.

    argparse tells nobody what was declared: its ``_actions``, there since it exists, are asked.
    """
    commands: list[Command] = []
    groups: list[Group] = []
    for group in parser._action_groups:  # noqa: SLF001 -- see above
        arguments = []
        for action in group._group_actions:  # noqa: SLF001 -- see above
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 -- see above
                commands = [
                    read(below, f"{name} {word}".strip()) for word, below in action.choices.items()
                ]
            else:
                arguments.append(_argument(parser, action))
        if arguments:
            groups.append(Group(group.title or "", tuple(arguments)))
    return Command(
        name or parser.prog,
        parser.description or "",
        _usage(parser),
        tuple(groups),
        _notes(parser.epilog or ""),
        tuple(commands),
    )


def _argument(parser: argparse.ArgumentParser, action: argparse.Action) -> Argument:
    formatter = argparse.HelpFormatter(parser.prog, width=_ONE_LINE)
    flags = tuple(action.option_strings)
    # As the formatter of --help does it, so that both say the same.
    metavar = action.dest.upper() if flags else action.dest
    value = "" if action.nargs == 0 else formatter._format_args(action, metavar)  # noqa: SLF001
    return Argument(
        flags,
        value,
        tuple(map(str, action.choices or ())),
        formatter._expand_help(action),  # noqa: SLF001 -- fills in %(default)s
    )


def _usage(parser: argparse.ArgumentParser) -> str:
    formatter = argparse.HelpFormatter(parser.prog, width=_ONE_LINE)
    formatter.add_usage(
        parser.usage,
        parser._actions,  # noqa: SLF001 -- as ArgumentParser.format_usage
        parser._mutually_exclusive_groups,  # noqa: SLF001 -- as ArgumentParser.format_usage
        "",
    )
    return formatter.format_help().strip()


def _notes(epilog: str) -> dict[str, str]:
    """Its paragraphs of the form ``title: text``, the text on the same line or indented below."""
    notes = {}
    for paragraph in epilog.split("\n\n"):
        match = re.match(r"([a-z ]+):\s+(.*)", paragraph, re.DOTALL)
        if match:
            lines = match[2].splitlines()
            notes[match[1]] = "\n".join(line.removeprefix("  ") for line in lines)
    return notes
