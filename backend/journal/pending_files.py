"""Files that are pending (``commit=atomic``), written down one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backend.fileserver.policies.pending import SEVERAL, Kept
from backend.journal.layout import DISCARDED, PENDING, Slot
from backend.journal.slots import fd_and_path

if TYPE_CHECKING:
    from backend.fileserver.policies.pending import Pending
    from backend.journal.restore import Nodes
    from backend.journal.writer import Writer

_WHOLE, _SEVERAL = 0, 1
_AT: Final = 2
"""A gap's offset is this much less than what is written down."""


def pending_slot(pending: Pending, note: int, commit: int) -> Slot:
    """What to write down of it; ``note`` is its node's."""
    kept, node = pending.kept, pending.node
    old_fd, old_path = fd_and_path(kept.old)
    gap = {None: _WHOLE, SEVERAL: _SEVERAL}.get(kept.gap, (kept.gap or 0) + _AT)
    slot = Slot(
        *(commit, 0, gap, node.qid.path, PENDING, len(kept.name), kept.serial),
        *(node.fd, pending.file.fileno(), DISCARDED if kept.discarded else 0),
        *(old_fd & 0xFFFF_FFFF, old_path, kept.name),
    )
    return slot._replace(note=note, parent=fd_and_path(kept.parent)[0])


def adopt_pending(writer: Writer, nodes: Nodes, index: int, slot: Slot) -> None:
    """Go on with one of the worker before us.  Raises ``OSError``, ``LookupError``."""
    atomic = writer.atomic
    if atomic is None:
        raise LookupError("nothing is pending in this share")
    node = nodes.at(slot.node, slot.ino, slot.note)
    old_fd = old_of(slot)
    gaps = {_WHOLE: None, _SEVERAL: SEVERAL}
    kept = Kept(
        slot.key,
        None if slot.parent < 0 else nodes.at(slot.parent),
        slot.name[: slot.length],
        None if old_fd < 0 else nodes.at(old_fd, slot.place, slot.note).hold(),
        gaps.get(slot.dev, slot.dev - _AT),
        discarded=bool(slot.flags & DISCARDED),
    )
    writer.pending[atomic.adopt_pending(node, slot.file, kept)] = index


def old_of(slot: Slot) -> int:
    """The descriptor of the file that it is to replace; -1: none."""
    return slot.user - (slot.user >> 31 << 32)
