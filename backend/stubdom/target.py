"""Which domain a stub domain works for: what libxl says of it, and nobody else can.

libxl (``libxl_dm.c``, ``libxl__spawn_stub_dm``) makes the stub domain paused, and then writes two
nodes, each without permissions of its own: ``image/device-model-domid`` below the home of the
domain that is worked for, and ``target`` below the stub domain's.  So they have those of the homes:
owned by Dom0, readable by the domain, ``n0,rN`` (``libxl_create.c``, ``libxl__domain_make``).  A
domain may write only what it owns or was given, so it can make no node in its home.

On this rests who gets whose state and monitor, therefore it is not taken for granted: a node counts
only if Dom0 owns it and nobody was given the right to write it, and only both nodes together make
a stub domain.  A toolstack that opened a guest's home to the guest, or a node that was left behind
by another domain of the same number, makes none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.supervisor.keys import parse_domid
from protocol.xenpv.ids import DOM0
from protocol.xenpv.nodes import value_of

if TYPE_CHECKING:
    from protocol.xenpv.ids import Domid
    from protocol.xenpv.ports import Names, StoreView


def target_node(domid: Domid) -> str:
    """Where libxl says for whom ``domid`` works."""
    return f"/local/domain/{domid}/target"


def target_of(view: StoreView, domid: Domid) -> Domid | None:
    """The domain that ``domid`` is the stub domain of; ``None`` where it is none.

    Raises ``OSError``.
    """
    target = _domid_in(view, target_node(domid))
    if target is None or target in (DOM0, domid):
        return None
    return target if _domid_in(view, _stub_domain_node(target)) == domid else None


def served_by(view: StoreView, domid: Domid) -> Domid:
    """The domain that ``domid`` works for: as its stub domain, or else itself.

    Raises ``OSError``.
    """
    target = target_of(view, domid)
    return domid if target is None else target


def stub_domain_of(view: StoreView, target: Domid) -> Domid | None:
    """The stub domain that works for ``target``; ``None`` where there is none.

    Raises ``OSError``.
    """
    domid = _domid_in(view, _stub_domain_node(target))
    return domid if domid is not None and target_of(view, domid) == target else None


def _stub_domain_node(target: Domid) -> str:
    return f"/local/domain/{target}/image/device-model-domid"


def _domid_in(view: StoreView, path: str) -> Domid | None:
    """The domain that Dom0 names in a node that nobody else can have written."""
    value = value_of(view, path)
    if value is None:
        return None
    try:
        permissions = view.get_permissions(path)
    except FileNotFoundError:  # removed meanwhile
        return None
    return parse_domid(value.decode("ascii", "replace")) if _is_dom0s(permissions) else None


def _is_dom0s(permissions: Names) -> bool:
    """Whether Dom0 owns a node, and neither everybody nor any one domain may write it."""
    return permissions[0][1:] == str(DOM0) and all(entry[0] in "nr" for entry in permissions)
