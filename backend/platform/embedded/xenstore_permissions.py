"""Who may do what with a node (Xen docs/misc/xenstore.txt, GET_PERMS and SET_PERMS).

The first entry names the owner and what everybody else may do; each further entry names a domain
and what that one may do.  Dom0 and the owner may do everything.
"""

from __future__ import annotations

import re
from enum import IntFlag
from typing import TYPE_CHECKING, NamedTuple

from backend.platform.embedded.xenstore_paths import invalid

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

DOMID_ANY = 0x7FF4
"""DOMID_ANY of xen/include/public/xen.h: an entry for every domain."""

_ENTRY = re.compile(rb"([nrwb])([0-9]{1,5})", re.ASCII)


class Access(IntFlag):
    """What an entry grants."""

    NONE = 0
    READ = 1
    WRITE = 2


_LETTERS = {
    b"n": Access.NONE,
    b"r": Access.READ,
    b"w": Access.WRITE,
    b"b": Access.READ | Access.WRITE,
}
_LETTER_OF = {access: letter for letter, access in _LETTERS.items()}


class Permission(NamedTuple):
    """One entry.  A void one names a domain that did not exist when it was set.

    It is shown but grants nothing, ever: a later domain with the same number is another domain.
    """

    domid: int
    access: Access
    void: bool = False


Permissions = tuple[Permission, ...]


class Caller(NamedTuple):
    """On whose behalf a request runs: a domain, and the one it is a device model for, if any."""

    domid: int
    target: int | None = None

    @property
    def privileged(self) -> bool:
        """Dom0 passes every permission check and every quota."""
        return self.domid == 0

    def _is(self, domid: int) -> bool:
        return domid in (self.domid, DOMID_ANY) or (
            self.target is not None and domid == self.target
        )

    def owns(self, permissions: Permissions) -> bool:
        """Whether this caller may change the permissions themselves."""
        return self.privileged or self._is(permissions[0].domid)

    def may(self, permissions: Permissions, need: Access) -> bool:
        """Whether all of ``need`` is granted."""
        if self.owns(permissions):
            return True
        for entry in permissions[1:]:
            if not entry.void and self._is(entry.domid):
                return need in entry.access
        return need in permissions[0].access


TOOLSTACK = Caller(0)


def parse_permissions(entries: Iterable[bytes], existing: Container[int]) -> Permissions:
    """Entries as on the wire (``n0``, ``r5``); ``existing`` are the domains there are now.

    Raises ``OSError`` EINVAL for anything else.
    """
    parsed = []
    for entry in entries:
        match = _ENTRY.fullmatch(entry)
        if match is None or (domid := int(match[2])) > 0xFFFF:
            raise invalid()
        void = domid != DOMID_ANY and domid not in existing
        parsed.append(Permission(domid, _LETTERS[match[1]], void))
    return tuple(parsed)


def format_permissions(permissions: Permissions) -> list[bytes]:
    """The entries as on the wire."""
    return [_LETTER_OF[entry.access] + b"%d" % entry.domid for entry in permissions]


def without_domain(permissions: Permissions, domid: int) -> Permissions:
    """The same without the entries (not the ownership) of a domain that is gone."""
    return (permissions[0], *(entry for entry in permissions[1:] if entry.domid != domid))
