"""Channels' open files, written down whenever they have gone on.

What a client has sent is looked at (MSG_PEEK) when the guest asks for it, and taken when the reply
is committed.  Between the two the slot says how many bytes are to be taken, and the kernel
(SO_PEEK_OFF) how many were looked at and are still there: so the next worker knows whether it has
happened.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from backend.channel.file import ANSWERED_AT
from backend.journal import layout

if TYPE_CHECKING:
    from backend.channel.channel import Channel
    from backend.channel.client import Client
    from backend.channel.file import ChannelFile
    from backend.channel.tree import ChannelTree
    from backend.journal.writer import Writer
    from protocol.ninep.ids import Fid

_NAME_AT: Final = layout.SLOT_SIZE - 16 - layout.MAX_NAME
"""Of a slot, where its name begins."""


class Streams:
    """Those of one session."""

    def __init__(self, writer: Writer, tree: ChannelTree | None) -> None:
        self._writer = writer
        self.changed: Final[set[ChannelFile]] = set()
        self.answered: Final[list[tuple[Client, int]]] = []
        """Clients whose bytes are to be taken after the commit, and the words that say so."""
        self._fids: dict[ChannelFile, Fid] = {}
        self.channels: Final[list[Channel]] = [] if tree is None else tree.channels
        for number, channel in enumerate(self.channels):
            channel.changed = self.changed
            channel.accepting = partial(self._accepting, number)

    def note(self, commit: int) -> None:
        """Write down what has gone on."""
        for file in self.changed:
            fid = self._fid(file) if file.is_open else None
            if fid is None:
                self._fids.pop(file, None)
            else:
                self._writer.note_again(fid, commit)
        self.changed.clear()

    def noted(self, file: ChannelFile, fid: Fid, slot: int) -> None:
        """A channel's file is in this slot from the next commit on."""
        self._fids[file] = fid
        client = file.client
        if file.reads and client.peeked:
            word = (layout.SLOTS_AT + slot * layout.SLOT_SIZE + _NAME_AT + ANSWERED_AT) // 8
            self._writer.journal.words[word] = client.peeked
            self.answered[:] = [each for each in self.answered if each[0] is not client]
            self.answered.append((client, word))

    def take(self) -> None:
        """The commit holds: what was answered is taken."""
        for client, word in self.answered:
            self.take_from(client)
            self._writer.journal.words[word] = 0
        self.answered.clear()

    def take_from(self, client: Client) -> None:
        """Take what was looked at."""
        client.take()

    def was_accepting(self, number: int) -> bool:
        """Whether a worker before us may have accepted a client that no commit knows of."""
        return self._writer.journal.words[_word(number)] == self._writer.journal.committed + 1

    def _accepting(self, number: int) -> None:
        self._writer.journal.words[_word(number)] = self._writer.journal.committed + 1

    def _fid(self, file: ChannelFile) -> Fid | None:
        fids, fid = self._writer.session.fids, self._fids.get(file)
        if fid is not None and fid in fids and fids[fid].file is file:
            return fid
        return next((fid for fid, state in fids.items() if state.file is file), None)


def _word(number: int) -> int:
    return layout.ACCEPTED_AT // 8 + number
