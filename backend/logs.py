"""Logging: one plain line per event on standard error, with the device it is about.

What a guest wrote may end up in a message, so control characters are shown, not obeyed.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

ROOT_LOGGER: Final = "backend"

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


def set_up(level: str, device: str | None = None) -> None:
    """Log to standard error from ``level`` on; in a worker every line names its ``device``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(device))
    logger = logging.getLogger(ROOT_LOGGER)
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
