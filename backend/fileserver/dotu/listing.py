"""A directory that is read: in 9P2000.u that is Tread, and the data are its entries' stats."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from backend.fileserver.dotu.boundaries import Boundaries
from backend.fileserver.dotu.stats import stat_of
from backend.fileserver.names import DOT_DOT
from backend.fileserver.policies.forwarding import ForwardingFile
from protocol.ninep.directory import encode_stat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.fileserver.files import File, Node
    from backend.fileserver.tree import Tree

_DOTS: Final = (b".", DOT_DOT)
"""In 9P a directory does not contain itself, nor the one above."""


class StatDirectory(ForwardingFile):
    """An open directory whose ``read`` gives whole stats, one after the other (read(5)).

    Offsets are bytes.  The client reads on, starts again at 0, or, more than read(5) asks for,
    returns to any boundary between entries that it was given: Linux makes them its d_off, which
    telldir(3) gives and seekdir(3) takes.
    """

    __slots__ = ("_boundaries", "_cookie", "_largest", "_node", "_offset", "_tree")

    def __init__(self, inner: File, tree: Tree, node: Node, largest: int) -> None:
        """``node`` is the directory, and its fid holds it; ``largest`` bytes fit one reply."""
        super().__init__(inner)
        self._tree = tree
        self._node = node
        self._largest: Final = largest
        self._boundaries = Boundaries()
        # Where the last reply ended, and the cookie to go on from.
        self._offset = 0
        self._cookie = 0

    @property
    def position(self) -> tuple[int, int]:
        """Where the last reply ended, as an offset, and the cookie to go on from."""
        return self._offset, self._cookie

    def resume(self, offset: int, cookie: int) -> None:
        """Go on from a position that another process has come to.

        Earlier boundaries are found by reading again, as those that were thinned out.
        """
        self._offset, self._cookie = offset, cookie
        if offset:
            self._boundaries.note(0, offset, cookie)

    def read(self, buffers: Sequence[memoryview], offset: int) -> int:
        """Fill ``buffers`` with the entries after ``offset``, as many as fit; 0 at the end.

        0 too where an entry is left but does not fit, unless at offset 0: Linux asks on until its
        buffer is full (p9_client_read), and an error would cost it what it already has.

        Raises ``OSError``: EINVAL for an offset that is no boundary, or where the first entry does
        not fit; and what getdents(2) and stat(2) say.
        """
        cookie = self._cookie_at(offset)
        data = self._fill(offset, cookie, sum(map(len, buffers)))
        done = 0
        for buffer in buffers:
            part = data[done : done + len(buffer)]
            buffer[: len(part)] = part
            done += len(part)
        return done

    def _cookie_at(self, offset: int) -> int:
        if not offset:
            return 0
        if offset == self._offset:
            return self._cookie
        if offset <= self._boundaries.furthest:
            at, cookie = self._boundaries.before(offset)
            if at == offset:
                return cookie
            for entry, after in self._entries(cookie):
                at += len(entry)
                if at == offset:
                    return after
                if at > offset:
                    break
        raise OSError(errno.EINVAL, f"offset {offset} is no boundary between entries")

    def _fill(self, start: int, cookie: int, room: int) -> bytes:
        parts: list[bytes] = []
        end = start
        try:
            for entry, after in self._entries(cookie):
                if end + len(entry) > start + room:
                    if not end:
                        raise OSError(errno.EINVAL, f"{room} bytes are too few for an entry")
                    break
                parts.append(entry)
                self._boundaries.note(end, end + len(entry), after)
                end += len(entry)
                cookie = after
        except OSError:
            # What was read is good, and the client will come for the rest.
            if not parts:
                raise
        self._offset, self._cookie = end, cookie
        return b"".join(parts)

    def _entries(self, cookie: int) -> Iterator[tuple[bytes, int]]:
        """Each entry's bytes, and the cookie to go on from after it."""
        for _qid, after, _kind, name in self.entries(cookie):
            if name in _DOTS:
                continue
            try:
                node = self._tree.lookup(self._node, name)
            except FileNotFoundError:
                continue  # removed since the directory was read
            try:
                entry = self._encoded(node, name)
            finally:
                node.release()
            yield entry, after

    def _encoded(self, node: Node, name: bytes) -> bytes:
        found = stat_of(self._tree, node, name)
        entry = encode_stat(found)
        if len(entry) > self._largest:
            # The target of a long link, under a small msize: it must not hide the other entries.
            # Tstat of the link itself says what is the matter.
            entry = encode_stat(found._replace(extension=b""))
        return entry
