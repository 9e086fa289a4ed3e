"""The device's part of the protocol's page: nodes, states, the shared page, the rings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from protocol.ninep.table import table
from protocol.xenpv import device, layout
from protocol.xenpv.xenbus import BACKEND, FRONTEND, XenbusState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from protocol.xenpv.xenbus import Step

_INTRODUCTION: Final = f"""\
## The device

Xen's 9pfs device, as `xen/include/public/io/9pfs.h` has it. Both ends write to XenStore what they
offer; each end's `state` node tells the other how far it is. The backend's nodes lie under
`backend/{device.BACKEND_CLASS}/<domid>/<devid>` in Dom0's directory, the frontend's under
`device/{device.FRONTEND_CLASS}/<devid>` in the guest's.

### Nodes
"""

_NODES: Final = (
    ("backend", "versions", "versions spoken, with commas between them; here `1`"),
    ("backend", "max-rings", f"most rings a frontend may use, at most {device.MAX_RINGS} here"),
    ("backend", "max-ring-page-order", f"highest order, at most {device.MAX_RING_ORDER} here"),
    ("frontend", "version", "the version chosen: `1`"),
    ("frontend", "num-rings", "how many rings there are"),
    ("frontend", "ring-ref<n>", "grant reference of ring n's interface page"),
    ("frontend", "event-channel-<n>", "ring n's event channel"),
    ("toolstack", "tag", "what a guest mounts the device by; among the frontend's nodes"),
    ("both", "state", "a number, see below"),
)

_STATES: Final = """\
### States

What an end does when it is in the state at the left and the other end is in the state above: the
action, and the state it writes when the action has succeeded. An empty cell asks for nothing.
"""

_PAGE: Final = """\
### Interface page

One page for each ring, granted by the guest. Offsets are in bytes; all numbers are 32-bit and
little-endian.
"""

_MEANINGS: Final = {
    "in_cons": "bytes that the frontend has taken from the `in` half",
    "in_prod": "bytes that the backend has put into the `in` half",
    "out_cons": "bytes that the backend has taken from the `out` half",
    "out_prod": "bytes that the frontend has put into the `out` half",
    "pad1": "zero",
    "pad2": "zero",
}

_RING: Final = """\
### Rings

The data pages, in the order of `ref`, are one range of bytes: the first half is `in` (replies), the
second is `out` (requests), each `2 ** (ring_order - 1)` pages of 4096 bytes. The four indices count
bytes and run freely from 0 to 2**32 - 1 and round again; an index modulo the half's size is the
place in it. `prod - cons`, modulo 2**32, is what lies there unread; more than the half's size is
impossible, and ends the device.

Whoever has put bytes in, or taken some out, notifies the ring's event channel. A reply is put in
whole or not at all: a frontend that has seen its first seven bytes reads the rest without waiting.
"""


def text() -> str:
    """The section on the device."""
    parts = [
        _INTRODUCTION,
        table(("who writes", "node", ""), ((w, f"`{n}`", m) for w, n, m in _NODES)),
        _STATES,
        _machine("backend", "frontend", BACKEND),
        _machine("frontend", "backend", FRONTEND),
        _PAGE,
        table(("at", "bytes", "field", "meaning"), _page_rows()),
        _RING,
    ]
    return "\n".join(parts)


def _machine(own: str, other: str, steps: Mapping[tuple[XenbusState, XenbusState], Step]) -> str:
    """A table of states drawn from a table of steps."""
    rows = dict.fromkeys(pair[0] for pair in steps)
    columns = sorted({pair[1] for pair in steps})
    head = [f"{own} \\ {other}", *(f"{state.name} {state.value}" for state in columns)]
    return table(
        head,
        (
            (f"**{row.name} {row.value}**", *(_step(steps.get((row, c))) for c in columns))
            for row in rows
        ),
    )


def _step(step: Step | None) -> str:
    return "" if step is None else f"{step.action.name.lower()} → {step.next.value}"


def _page_rows() -> Iterator[tuple[str, str, str, str]]:
    at = 0
    for member in layout.INDICES.subcons:
        size = member.sizeof()
        yield str(at), str(size), f"`{member.name}`", _MEANINGS[member.name]
        at += size
    orders = f"data pages: `2 ** ring_order` of them; 1 to {device.MAX_RING_ORDER}"
    yield str(at), "4", "`ring_order`", orders
    yield str(at + 4), "4 each", "`ref`", "grant references of the data pages"
