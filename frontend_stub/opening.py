"""A file that is being opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frontend_stub.file import File

if TYPE_CHECKING:
    from collections.abc import Callable

    from frontend_stub.client import Client
    from frontend_stub.pending import Pending
    from protocol.ninep.ids import Fid
    from protocol.ninep.messages import Rlopen


class Opening:
    """A request to open, in flight, of ``Share.begin_open``; ends with ``file`` or ``cancel``."""

    def __init__(
        self, client: Client, pending: Pending[Rlopen], fid: Fid, clunk: Callable[[], None]
    ) -> None:
        self._client: Final = client
        self._pending: Final = pending
        self._fid: Final = fid
        self._clunk: Final = clunk

    @property
    def done(self) -> bool:
        """Whether there is an answer, good or bad."""
        return self._pending.done

    def file(self) -> File:
        """The open file, when it is ``done``.  Raises ``OSError`` when it could not be opened."""
        try:
            reply = self._pending.result()
        except OSError:
            self._clunk()
            raise
        return File(self._client, self._fid, self._pending.name or "", reply.qid, reply.iounit)

    def cancel(self) -> None:
        """Open it no more, and close it if it has just been opened.

        Raises ``OSError`` where the connection is gone.
        """
        self._client.cancel(self._pending)
        self._clunk()
