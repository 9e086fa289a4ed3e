"""Error replies: of whatever a request has raised."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from protocol.ninep.codec import encode
from protocol.ninep.errno_map import errno_of, error_reply
from protocol.ninep.errors import ProtocolError

if TYPE_CHECKING:
    from backend.fileserver.counters import Counters
    from backend.fileserver.session import Session
    from protocol.ninep.ids import Tag

log = logging.getLogger(__name__)


class Refusals:
    """One session's."""

    def __init__(self, session: Session, counters: Counters) -> None:
        self._session: Final = session
        self._counters: Final = counters

    def reply(self, tag: Tag, error: Exception) -> bytes:
        """The reply in the session's dialect, logged and counted as the error's kind asks."""
        self._counters.errors += 1
        if isinstance(error, ProtocolError):
            self._counters.malformed += 1
            log.info("malformed message: %s", error)
        elif not isinstance(error, OSError):
            self._counters.unforeseen += 1
            log.error("unforeseen while answering tag %d", tag, exc_info=error)
        return encode(error_reply(self._session.dialect, tag, errno_of(error)))
