"""From paths to fids: Twalk in steps of 16 names, and fids that are sure to be clunked."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from frontend_stub.attributes import Attributes
from frontend_stub.paths import shown
from protocol.ninep.flags import GETATTR_BASIC, QTDIR
from protocol.ninep.ids import Fid
from protocol.ninep.messages import Rclunk, Rgetattr, Rwalk, Tclunk, Tgetattr, Twalk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from frontend_stub.client import Client
    from frontend_stub.paths import Path
    from frontend_stub.pending import Pending

MAX_WALK: Final = 16
"""``P9_MAXWELEM``: the names one Twalk may carry."""

Names = tuple[bytes, ...]

_NOT_YET: Final = OSError(errno.EINPROGRESS, os.strerror(errno.EINPROGRESS))


class Walker:
    """Makes fids below ``root``, which stays the caller's."""

    def __init__(self, client: Client, root: Fid) -> None:
        self._client = client
        self._root = root

    def walk(self, names: Names, path: Path) -> Fid:
        """A new fid for the file that ``names`` lead to; the caller clunks it.

        Raises ``OSError`` with ``path``: ENOENT or ENOTDIR where the names end before the file.
        """
        fid = Fid(self._client.fids.take())
        source = self._root
        try:
            while source != fid or names:
                step, names = names[:MAX_WALK], names[MAX_WALK:]
                self._finish(self._submit(source, fid, step, path), step, path)
                source = fid
        except BaseException:
            if source == fid:
                self.clunk(fid)
            else:
                self._client.fids.give_back(fid)
            raise
        return fid

    @contextmanager
    def walked(self, names: Names, path: Path) -> Iterator[Fid]:
        """``walk``, and a clunk afterwards."""
        fid = self.walk(names, path)
        try:
            yield fid
        finally:
            self.clunk(fid)

    def clunk(self, fid: Fid) -> None:
        """Let go of a fid that holds nothing open; no failure of that matters to anybody."""
        with suppress(OSError):
            self._client.wait(self._submit_clunk(fid))
        self._client.fids.give_back(fid)

    def getattr(self, fid: Fid, path: Path) -> Attributes:
        """The attributes of ``fid``."""
        return Attributes.of(self._client.wait(self._submit_getattr(fid, path)))

    def getattr_all(self, files: Sequence[Names]) -> list[Attributes | OSError]:
        """The attributes of each file, or its error: three round trips for all of them.

        One fid each is in use meanwhile; each is at most 16 names away.
        """
        client = self._client
        paths = [b"/".join(names) for names in files]
        fids = [Fid(client.fids.take()) for _ in files]
        walks = [
            self._submit(self._root, fid, names, path)
            for fid, names, path in zip(fids, files, paths, strict=True)
        ]
        results: list[Attributes | OSError] = []
        asked: list[tuple[int, Pending[Rgetattr]]] = []
        for number, walk in enumerate(walks):
            try:
                self._finish(walk, files[number], paths[number])
                asked.append((number, self._submit_getattr(fids[number], paths[number])))
                results.append(_NOT_YET)
            except OSError as error:
                client.fids.give_back(fids[number])
                results.append(error)
        for number, pending in asked:
            try:
                results[number] = Attributes.of(client.wait(pending))
            except OSError as error:
                results[number] = error
        clunks = [self._submit_clunk(fids[number]) for number, _ in asked]
        for (number, _), clunk in zip(asked, clunks, strict=True):
            with suppress(OSError):
                client.wait(clunk)
            client.fids.give_back(fids[number])
        return results

    def _submit(self, source: Fid, fid: Fid, names: Names, path: Path) -> Pending[Rwalk]:
        return self._client.submit(
            lambda tag: Twalk(tag, source, fid, names), Rwalk, name=shown(path), more=True
        )

    def _submit_getattr(self, fid: Fid, path: Path) -> Pending[Rgetattr]:
        return self._client.submit(
            lambda tag: Tgetattr(tag, fid, GETATTR_BASIC), Rgetattr, name=shown(path), more=True
        )

    def _submit_clunk(self, fid: Fid) -> Pending[Rclunk]:
        return self._client.submit(lambda tag: Tclunk(tag, fid), Rclunk, more=True)

    def _finish(self, walk: Pending[Rwalk], names: Names, path: Path) -> None:
        """Wait for a walk, which must have gone all the way: otherwise it made no fid, walk(5)."""
        qids = self._client.wait(walk).wqids
        if len(qids) != len(names):
            beyond_file = qids and not qids[-1].type & QTDIR
            number = errno.ENOTDIR if beyond_file else errno.ENOENT
            raise OSError(number, os.strerror(number), shown(path))
