"""Domains as people name them: by ``/local/domain/N/name``, which the toolstack writes."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from backend.supervisor.keys import parse_domid
from protocol.xenpv.nodes import value_of

if TYPE_CHECKING:
    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import StoreView

_MAX_NAME: Final = 255
"""Bytes of a name that are looked at; ``xl`` takes no longer ones."""

_SHOWN: Final = 8
"""Names in a message."""


class DomainError(Exception):
    """There is no such domain, or several; the text names what there is."""


def find_domain(store: StoreView, name: str) -> Domid:
    """The one domain of that name.  Raises ``DomainError``, ``OSError``."""
    names = domain_names(store)
    found = [domid for domid, known in names.items() if known == name]
    if len(found) == 1:
        return found[0]
    if found:
        numbers = " and ".join(map(str, found))
        raise DomainError(f'domains {numbers} are both called "{name}": give the number')
    there = sorted(set(names.values()))
    near = difflib.get_close_matches(name, there, _SHOWN)
    if near:
        raise DomainError(f'no domain is called "{name}"; did you mean {_listed(near)}?')
    raise DomainError(f'no domain is called "{name}"; there is {_listed(there)}')


def domain_names(store: StoreView) -> dict[Domid, str]:
    """The domains that have a name, by number.  Raises ``OSError``."""
    domids = [parse_domid(name) for name in store.list("/local/domain")]
    names = {domid: domain_name(store, domid) for domid in domids if domid is not None}
    return {domid: name for domid, name in sorted(names.items()) if name is not None}


def domain_name(store: StoreView, domid: Domid) -> str | None:
    """What a domain is called, or ``None`` where it has no name or is no more."""
    value = value_of(store, f"/local/domain/{domid}/name") or b""
    return value[:_MAX_NAME].decode(errors="replace") or None


def _listed(names: list[str]) -> str:
    left_out = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + left_out
