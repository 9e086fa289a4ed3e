"""Completion for bash: commands, options, and values where they are known.

The script needs bash alone, not the functions of the package bash-completion.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tools.manual.grammar import Argument, Command

_NAMES: Final = {
    "FILE": "-f",
    "PATH": "-f",
    "DIR": "-d",
    "DOMAIN": "-W \"$(xl list 2>/dev/null | awk 'NR > 1 { print $1 }')\"",
}
"""What compgen offers for a value, by the value's name."""

_NO_COMMAND: Final = "''"

_SCRIPT: Final = """\
# bash completion for {program}; written from its --help.

{function}_offer() {{
    mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen "$@" -- "$current")
}}

{function}() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
    local command='' word
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD - 1}}"; do
        case $word in
            {commands}) command=$word && break ;;
        esac
    done
    COMPREPLY=()
    # After an option that takes a value: what that may be, and nothing else.
    case "$command $previous" in
{values}
    esac
    case $command in
{words}
    esac
}}

# Where nothing of this fits, files are offered.
complete -o default -F {function} {program}
"""


def completion(program: Command) -> str:
    """The script of one program."""
    function = "_" + program.name.replace("-", "_")
    return _SCRIPT.format(
        program=program.name,
        function=function,
        commands=" | ".join(command.name for command in program.commands),
        values="\n".join(_values(program, f"{function}_offer")),
        words="\n".join(_words(program, f"{function}_offer")),
    )


def _values(program: Command, offer: str) -> Iterator[str]:
    patterns: dict[str, list[str]] = {}
    for word, commands in _cases(program):
        for option in itertools.chain.from_iterable(command.options for command in commands):
            if option.value:
                patterns.setdefault(_known(option), []).extend(
                    f'"{word} {flag}"' for flag in option.flags
                )
    for known, where in patterns.items():
        yield f"        {' | '.join(dict.fromkeys(where))})"
        if known:
            yield f"            {offer} {known}"
        yield "            return"
        yield "            ;;"


def _words(program: Command, offer: str) -> Iterator[str]:
    for word, commands in _cases(program):
        flags = [flag for command in commands for item in command.options for flag in item.flags]
        names = [below.name.rpartition(" ")[2] for below in commands[0].commands]
        yield f"        {word or _NO_COMMAND})"
        yield f"            {offer} {_list(dict.fromkeys([*flags, *names]))}"
        operands = [operand for command in commands for operand in command.operands]
        for known in filter(None, dict.fromkeys(map(_known, operands))):
            yield f"            [[ $current == -* ]] || {offer} {known}"
        yield "            ;;"


def _cases(program: Command) -> Iterator[tuple[str, list[Command]]]:
    """Each command with those below it, and first the program alone where no command is given."""
    yield "", [program]
    for command in program.commands:
        yield command.name, [command, *command.below()]


def _known(argument: Argument) -> str:
    """What makes compgen offer a value; empty where nobody can know it."""
    if argument.choices:
        return _list(argument.choices)
    return _NAMES.get(argument.value.split()[0].strip("[]").upper(), "")


def _list(words: Iterable[str]) -> str:
    return f"-W '{' '.join(words)}'"
