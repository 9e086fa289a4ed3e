"""The configuration's documentation, made from the dataclasses: ``docs/configuration.md``."""

from __future__ import annotations

import textwrap
from dataclasses import fields
from typing import Final

from backend.config import DEFAULT_PATH, Config, entries

_HEAD: Final = f"""\
# Configuration

<!-- Made by `xen-fileproxy check-config --reference`; a test fails when it is stale. -->

`xen-fileproxy` reads `{DEFAULT_PATH}` where that file exists, or the file given by
`--config FILE`. It is TOML. Every key is optional. An unknown key, a wrong type or a value out of
range is refused with a message that names it; nothing starts with half a configuration.

`xen-fileproxy check-config [FILE]` checks a file without starting anything. Options on the command
line (`--platform`, `--run-dir`, `-v`) win over the file.
"""

_TAIL: Final = """\
## All keys with their defaults

```toml
{example}```
"""


def reference() -> str:
    """The whole page."""
    parts = [_HEAD, _table("")]
    for item in fields(Config):
        if "kind" not in item.metadata:
            table = item.name.replace("_", "-")
            parts += [f"## `[{table}]`\n\n{item.metadata['doc']}\n", _table(table)]
    parts.append(_TAIL.format(example=example()))
    return "\n".join(parts)


def example() -> str:
    """A configuration file that says what the defaults say."""
    lines: list[str] = []
    table = ""
    for key, default, _field in entries():
        where, _, name = key.rpartition(".")
        if where != table:
            table = where
            lines.append(f"\n[{table}]")
        lines.append(f"{name} = {toml(default)}")
    return "\n".join(lines) + "\n"


def template() -> str:
    """A configuration file to start from: each key is explained, and commented with its default."""
    lines = [
        f"# {DEFAULT_PATH}: read by xen-fileproxy at its start.  xen-fileproxy.toml(5) has more.",
        "# `xen-fileproxy check-config` says whether this file is good.",
    ]
    table = ""
    for key, default, entry in entries():
        where, _, name = key.rpartition(".")
        if where != table:
            table = where
            lines += ["", f"[{table}]"]
        lines += ["", *_comment(entry.metadata["doc"])]
        lines += _comment(f"Accepted: {entry.metadata['kind'].words}.")
        lines.append(f"#{name} = {toml(default)}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, 78, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )


def _table(table: str) -> str:
    rows = ["| key | default | accepted | meaning |", "|---|---|---|---|"]
    for key, default, entry in entries():
        where, _, name = key.rpartition(".")
        if where == table:
            words = entry.metadata["kind"].words
            rows.append(f"| `{name}` | `{toml(default)}` | {words} | {entry.metadata['doc']} |")
    return "\n".join(rows) + "\n"


def toml(value: object) -> str:
    """A key's value as it is written in the file."""
    if isinstance(value, tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
