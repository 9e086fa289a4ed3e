"""What the policies have in common under which a share gets no new names."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NoReturn

from backend.fileserver.creating import refuse_creation
from backend.fileserver.policies.forwarding import ForwardingTree

if TYPE_CHECKING:
    from backend.fileserver.files import Device, New, Node, Owner
    from protocol.ninep.messages import Qid


class FixedNamesTree(ForwardingTree):
    """Refuses every name that would be new, of whatever kind."""

    refusal: ClassVar[tuple[int, str]]
    """The errno of a name that is not there, and why."""

    def mkdir(self, parent: Node, name: bytes, mode: int, owner: Owner) -> Qid:
        self.refuse_new(parent, name)

    def symlink(self, parent: Node, name: bytes, target: bytes, owner: Owner) -> Qid:
        self.refuse_new(parent, name)

    def mknod(self, parent: Node, name: bytes, mode: int, device: Device, owner: Owner) -> Qid:
        self.refuse_new(parent, name)

    def link(self, node: Node, parent: Node, name: bytes) -> None:
        self.refuse_new(parent, name)

    def finished(self, parent: Node, name: bytes, new: New) -> Qid | None:
        return None  # whoever has made it, it was not this share's guest

    def refuse_new(self, parent: Node, name: bytes) -> NoReturn:
        """Raises ``OSError``: see ``refuse_creation``."""
        refuse_creation(self, parent, name, *self.refusal)
