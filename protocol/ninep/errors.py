"""The one exception that bytes off the wire can cause."""

from __future__ import annotations

from protocol.ninep.ids import NOTAG, Tag


class ProtocolError(Exception):
    """A message that is not well formed.

    ``reason`` is a short English phrase for the log; ``tag`` is the tag to answer, or ``NOTAG``
    where the frame is too short to hold one.
    """

    def __init__(self, reason: str, tag: Tag = NOTAG) -> None:
        super().__init__(reason, tag)
        self.reason = reason
        self.tag = tag

    def __str__(self) -> str:
        """The reason and the tag, for a log line."""
        return f"{self.reason} (tag {self.tag})"


def malformed(head: bytes, reason: str) -> ProtocolError:
    """The error for a frame that begins with ``head``, with its tag where it has one."""
    return ProtocolError(
        reason, Tag(int.from_bytes(head[5:7], "little")) if len(head) >= 7 else NOTAG
    )
