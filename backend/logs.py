"""Logging: one plain line per event on standard error, with the device it is about.

What a guest wrote may end up in a message, so control characters are shown, not obeyed.  A guest
may also bring messages about, as many as it likes (a malformed request is one), so a process that
serves one has a bound of lines: ``GuestHandler``.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from typing import TextIO

ROOT_LOGGER: Final = "backend"

LINES_AT_ONCE: Final = 100
"""Messages of a process that serves a guest, before the bound is felt: more than an honest guest
brings about in its life."""

SECONDS_A_LINE: Final = 10.0
"""After that: 8,640 messages a day.  journald by itself allows a service 10,000 in 30 s, and then
leaves out those of all guests and of the supervisor alike."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class LineFormatter(logging.Formatter):
    """``level: [device: ]message``; a traceback's lines each carry the same beginning."""

    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        self._device = device

    def format(self, record: logging.LogRecord) -> str:
        """One line, or several that begin alike."""
        lines = [record.getMessage()]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        start = f"{record.levelname.lower()}: "
        if self._device:
            start += f"{self._device}: "
        return "\n".join(start + _printable(line) for line in lines)


def _printable(line: str) -> str:
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], line)


class DeviceLog(logging.LoggerAdapter[logging.Logger]):
    """A logger whose lines begin with a device's name, for the process that has many."""

    def __init__(self, logger: logging.Logger, device: str) -> None:
        super().__init__(logger, {})
        self._device = device.replace("%", "%%")

    def process(
        self,
        msg: Any,  # noqa: ANN401 -- as in the class it extends
        kwargs: MutableMapping[str, Any],
    ) -> tuple[str, MutableMapping[str, Any]]:
        """Put the device's name before the message."""
        return f"{self._device}: {msg}", kwargs


class GuestHandler(logging.StreamHandler["TextIO"]):
    """Leaves messages out where there are too many, and says how many it were."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds, and never goes back."""
        super().__init__(stream)
        self._clock = clock
        self._left: float = LINES_AT_ONCE
        self._seen = clock()
        self._omitted = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message, if there is room for one; the caller has the handler's lock."""
        now = self._clock()
        self._left = min(LINES_AT_ONCE, self._left + (now - self._seen) / SECONDS_A_LINE)
        self._seen = now
        if self._left < 1:
            self._omitted += 1
            return
        self._left -= 1
        if self._omitted:
            said = {"msg": f"too many messages: {self._omitted} were left out"}
            super().emit(logging.makeLogRecord({**said, "levelname": "WARNING"}))
            self._omitted = 0
        super().emit(record)


def set_up(level: str, device: str | None = None) -> None:
    """Log to standard error from ``level`` on; in a worker every line names its ``device``.

    Who asks for ``debug`` gets all there is, without a bound.
    """
    bounded = device is not None and level != "debug"
    handler = GuestHandler(sys.stderr) if bounded else logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(device))
    logger = logging.getLogger(ROOT_LOGGER)
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
