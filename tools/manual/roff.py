"""Manual pages in the macros of man(7), and nothing else that a formatter could refuse."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from datetime import date

_ESCAPES: Final = str.maketrans(
    {
        "\\": r"\e",
        "-": r"\-",
        "'": r"\(aq",
        "`": r"\(ga",
        "^": r"\(ha",
        "~": r"\(ti",
    }
)
_WIDTH: Final = 78
"""Columns of a line of the source; a formatter fills its own."""


class Page:
    """One page, written from its head to its end; each method returns the page."""

    def __init__(self, name: str, section: int, summary: str, *, version: str, day: date) -> None:
        self._lines: list[str] = [
            f".TH {plain(name.upper())} {section} {day.isoformat()} xen\\-fileproxy\\ {version}",
            ".nh",  # no word is hyphenated: an option would look like another
            ".ad l",
        ]
        self.section("name").text(f"{plain(name)} \\- {plain(summary)}")

    def section(self, title: str) -> Self:
        """A heading."""
        self._lines.append(f".SH {_quoted(plain(title.upper()))}")
        return self

    def part(self, title: str) -> Self:
        """A heading below a section's."""
        self._lines.append(f".SS {_quoted(plain(title))}")
        return self

    def paragraph(self, text: str) -> Self:
        """Text of its own, which is marked up already."""
        self._begin()
        return self.text(text)

    def text(self, text: str) -> Self:
        """More text, which is marked up already."""
        self._lines += map(
            _safe, textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
        )
        return self

    def item(self, head: str, text: str) -> Self:
        """A marked-up head, and below it plain text."""
        self._lines += [".TP", _safe(head)]
        return self.text(plain(text))

    def example(self, text: str) -> Self:
        """Plain text, line for line, in a fixed width."""
        self._begin()
        self._lines += [".in +4n", ".EX"]
        self._lines += [_safe(plain(line)) for line in text.splitlines()]
        self._lines += [".EE", ".in"]
        return self

    def _begin(self) -> None:
        """A new paragraph; after a heading there is one already."""
        if not self._lines[-1].startswith((".SH", ".SS")):
            self._lines.append(".PP")

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"


def plain(text: str) -> str:
    """Text in which nothing is markup."""
    return text.translate(_ESCAPES)


def bold(text: str) -> str:
    """As it is typed."""
    return rf"\fB{plain(text)}\fP"


def italic(text: str) -> str:
    """What is to be replaced."""
    return rf"\fI{plain(text)}\fP"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', r"\(dq") + '"'


def _safe(line: str) -> str:
    """A line that does not begin with a control character."""
    return rf"\&{line}" if line.startswith((".", "'")) else line
