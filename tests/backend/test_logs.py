"""Log lines: one per event, each with its device, and none that a guest can forge."""

from __future__ import annotations

import logging
import sys

from backend.logs import DeviceLog, LineFormatter


def line(message: str, *args: object, device: str | None = None, level: int = logging.INFO) -> str:
    record = logging.LogRecord("backend", level, __file__, 1, message, args, None)
    return LineFormatter(device).format(record)


def test_line_names_level_and_device() -> None:
    assert line("connected: %d rings", 2, device="d5/0") == "info: d5/0: connected: 2 rings"
    assert line("careful", level=logging.WARNING) == "warning: careful"


def test_control_characters_are_shown() -> None:
    got = line("name %s", "a\nerror: d1/0: forged\x1b[2J\x85\u2028")
    assert got == "info: name a\\nerror: d1/0: forged\\x1b[2J\\x85\\u2028"


def test_traceback_lines_carry_the_device_too() -> None:
    try:
        raise ValueError("bo\x1bom")
    except ValueError:
        info = sys.exc_info()
    record = logging.LogRecord("backend", logging.ERROR, __file__, 1, "unforeseen", (), info)
    lines = LineFormatter("d5/0").format(record).splitlines()
    assert len(lines) > 2
    assert all(each.startswith("error: d5/0: ") for each in lines)
    assert lines[-1].endswith(r"ValueError: bo\x1bom")


def test_adapter_puts_the_device_first() -> None:
    seen: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    logger = logging.getLogger("backend.test_logs")
    handler = Keep()
    logger.addHandler(handler)
    DeviceLog(logger, "d5/0").warning("closing: %s", "50%")
    logger.removeHandler(handler)
    assert seen == ["d5/0: closing: 50%"]
