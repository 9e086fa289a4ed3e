"""The argument that says which domain, for every command that is about one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.commands.failure import CommandError
from backend.commands.options import domid

if TYPE_CHECKING:
    import argparse

    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Store


def add_domain(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Declare it; ``domid_of`` makes a number of what was given."""
    parser.add_argument(
        "domain",
        metavar="DOMAIN",
        nargs=nargs,
        type=domain,
        help="the domain's name or number; what has digits only is a number",
    )


def domain(text: str) -> Domid | str:
    """A domain's number or name, for argparse: as ``xl``, digits alone are a number."""
    return domid(text) if text.isascii() and text.isdigit() else text


def domid_of(store: Store, given: Domid | str) -> Domid:
    """The number of the domain that was given.  Raises ``CommandError``, ``OSError``."""
    from backend.domains import DomainError, find_domain

    if isinstance(given, str):
        try:
            return find_domain(store, given)
        except DomainError as error:
            raise CommandError(str(error)) from error
    return given
