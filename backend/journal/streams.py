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
    from collections.abc import Iterable

    from backend.channel.channel import Channel
    from backend.channel.client import Client
    from backend.channel.file import ChannelFile
    from backend.channel.tree import ChannelTree
    from backend.journal.journal import Journal
    from backend.journal.noted_fids import NotedFids
    from protocol.ninep.ids import Fid

_UNOPENED: Final = (1 << 64) - 1
"""In place of a commit's number: a client that the guest has not opened yet, whatever comes."""

_NAME_AT: Final = layout.SLOT_SIZE - 16 - layout.MAX_NAME
"""Of a slot, where its name begins."""


class Streams:
    """Those of one session."""

    def __init__(self, journal: Journal, noted: NotedFids, tree: ChannelTree | None) -> None:
        self._journal = journal
        self._noted = noted
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
        for number, channel in enumerate(self.channels):
            if self._word(number) == _UNOPENED and not channel.has_unopened_client:
                self._journal.words[_at(number)] = commit
        for file in self.changed:
            fid = self._fid(file) if file.is_open else None
            if fid is None:
                self._fids.pop(file, None)
            else:
                self._noted.again(fid, commit)
        self.changed.clear()

    def noted(self, file: ChannelFile, fid: Fid, slot: int) -> None:
        """A channel's file is in this slot from the next commit on."""
        self._fids[file] = fid
        client = file.client
        if file.reads and client.peeked:
            word = _answered_at(slot)
            self._journal.words[word] = client.peeked
            self.answered[:] = [each for each in self.answered if each[0] is not client]
            self.answered.append((client, word))

    def take(self) -> None:
        """The commit holds: what was answered is taken."""
        for client, word in self.answered:
            self.take_from(client)
            self._journal.words[word] = 0
        self.answered.clear()

    def take_from(self, client: Client) -> None:
        """Take what was looked at."""
        client.take()

    def go_on(self) -> None:
        """Nobody else serves these clients any more.  Raises ``OSError``."""
        for channel in self.channels:
            channel.go_on()
        for file in self.changed:
            # What was answered is taken: whoever looks at more must not leave it to be taken again.
            fid = self._fid(file)
            if fid is not None and file.reads:
                self._journal.words[_answered_at(self._noted.slots[fid])] = 0

    def adopt_accepted(self, strays: Iterable[int]) -> frozenset[int]:
        """Clients that the worker before us had just accepted, of descriptors that nothing else
        tells of: they wait for their turn now.
        """
        adopted = set()
        for number, channel in enumerate(self.channels):
            # Or a worker before that one had, and the guest has opened none since.
            if self._word(number) > self._journal.committed:
                fd = next(filter(channel.adopt_accepted, strays), None)
                if fd is not None:
                    adopted.add(fd)
                    self._journal.words[_at(number)] = _UNOPENED
        return frozenset(adopted)

    def _accepting(self, number: int) -> None:
        self._journal.words[_at(number)] = self._journal.committed + 1

    def _word(self, number: int) -> int:
        return self._journal.words[_at(number)]

    def _fid(self, file: ChannelFile) -> Fid | None:
        fids, fid = self._noted.session.fids, self._fids.get(file)
        if fid is not None and fid in fids and fids[fid].file is file:
            return fid
        return next((fid for fid, state in fids.items() if state.file is file), None)


def _at(number: int) -> int:
    return layout.ACCEPTED_AT // 8 + number


def _answered_at(slot: int) -> int:
    return (layout.SLOTS_AT + slot * layout.SLOT_SIZE + _NAME_AT + ANSWERED_AT) // 8
