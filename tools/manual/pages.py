"""The three pages: each program's, from its parser, and the configuration's, from its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from backend.config import DEFAULT_PATH, entries
from backend.config_reference import toml
from tools.manual.roff import Page, bold, italic, plain

if TYPE_CHECKING:
    from datetime import date

    from tools.manual.grammar import Argument, Command

_USUAL_TITLES: Final = ("options", "positional arguments")
_SECTIONS: Final = {"exit codes": "exit status"}
"""Titles of ``--help`` that manual pages have another word for."""

_SEE_ALSO: Final = {
    "xen-fileproxy": 8,
    "xen-fileproxy-front": 1,
    "xen-fileproxy.toml": 5,
    "xl": 1,
    "xl.cfg": 5,
}

_CONFIGURATION: Final = (
    f"{DEFAULT_PATH} is read where it exists, in the form of TOML. Every key is optional. "
    "An unknown key, a wrong type or a value out of range is refused with a message that names it; "
    "nothing starts with half a configuration. Options of a command win over the file."
)


class Edition(NamedTuple):
    """What stands at every page's foot."""

    version: str
    day: date


def program_page(command: Command, section: int, edition: Edition) -> str:
    """A program's page."""
    summary = command.description[0].lower() + command.description[1:].rstrip(".")
    page = Page(command.name, section, summary, version=edition.version, day=edition.day)
    page.section("synopsis").text(_synopsis(command.usage))
    page.section("description").text(plain(command.description))
    page.text(plain("Each command is described below, after the options that come before it."))
    page.section("options")
    _arguments(page, command)
    page.section("commands")
    for below in command.below():
        page.part(below.name).text(_synopsis(below.usage))
        if below.description:
            page.paragraph(plain(below.description))
        _arguments(page, below)
        for title, text in below.notes.items():
            page.paragraph(plain(f"{title.capitalize()}:")).example(text)
    for title, text in command.notes.items():
        page.section(_SECTIONS.get(title, title))
        if title == "exit codes":
            for code in " ".join(text.split()).split(", "):
                number, _, meaning = code.partition(" ")
                page.item(bold(number), meaning)
        else:
            page.example(text)
    return str(_see_also(page, command.name))


def configuration_page(edition: Edition) -> str:
    """The page of the configuration file."""
    summary = "configuration of xen-fileproxy"
    page = Page("xen-fileproxy.toml", 5, summary, version=edition.version, day=edition.day)
    page.section("description").text(plain(_CONFIGURATION))
    table = ""
    page.section("keys")
    for key, default, entry in entries():
        where, _, name = key.rpartition(".")
        if where != table:
            table = where
            page.part(f"[{table}]")
        meaning = entry.metadata["doc"].replace("`", "")
        words = entry.metadata["kind"].words
        page.item(f"{bold(name)} = {italic(toml(default))}", f"{meaning} Accepted: {words}.")
    page.section("example").example(
        'allowed-exports = ["/srv/guests"]\n\n[confinement]\nrequire = ["namespaces", "seccomp"]'
    )
    page.section("files").item(bold(DEFAULT_PATH), "The default; --config names another.")
    page.section("notes").text(
        f"{bold('xen-fileproxy check-config')} "
        + plain("says whether the file is good, and with --template prints one to start from.")
    )
    return str(_see_also(page, "xen-fileproxy.toml"))


def _synopsis(usage: str) -> str:
    program, _, rest = usage.partition(" ")
    return f"{bold(program)} {plain(rest)}"


def _arguments(page: Page, command: Command) -> None:
    for group in command.groups:
        if group.title not in _USUAL_TITLES:
            page.paragraph(plain(f"{group.title[0].upper()}{group.title[1:]}:"))
        for argument in group.arguments:
            page.item(_head(argument), argument.help)


def _head(argument: Argument) -> str:
    if not argument.flags:
        return italic(argument.value)
    flags = ", ".join(map(bold, argument.flags))
    return f"{flags} {italic(argument.value)}" if argument.value else flags


def _see_also(page: Page, but: str) -> Page:
    others = [f"{bold(name)}({number})" for name, number in _SEE_ALSO.items() if name != but]
    return page.section("see also").text(",\n".join(others))
