"""Log lines: one per event, each with its device, and none that a guest can forge."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from backend import logs
from backend.logs import LINES_AT_ONCE, SECONDS_A_LINE, DeviceLog, GuestHandler, LineFormatter


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


def test_a_guest_cannot_fill_the_log() -> None:
    now, stream = 0.0, io.StringIO()
    handler = GuestHandler(stream, lambda: now)
    handler.setFormatter(LineFormatter("d5/0"))

    def flood(messages: int) -> list[str]:
        stream.seek(0)
        stream.truncate()
        for _ in range(messages):
            handler.handle(logging.makeLogRecord({"msg": "malformed", "levelname": "INFO"}))
        return stream.getvalue().splitlines()

    assert flood(LINES_AT_ONCE + 1000) == ["info: d5/0: malformed"] * LINES_AT_ONCE
    now += SECONDS_A_LINE
    assert flood(5) == [
        "warning: d5/0: too many messages: 1000 were left out",
        "info: d5/0: malformed",
    ]
    now += 1e9
    assert len(flood(LINES_AT_ONCE + 5)) == LINES_AT_ONCE + 1


@pytest.mark.parametrize(
    ("level", "device", "bounded"),
    [("info", "d5/0", True), ("debug", "d5/0", False), ("info", None, False)],
)
def test_the_bound_is_for_processes_that_serve_a_guest(
    level: str, device: str | None, bounded: bool
) -> None:
    logger = logging.getLogger(logs.ROOT_LOGGER)
    before, threshold = list(logger.handlers), logger.level
    try:
        logs.set_up(level, device)
        [handler] = logger.handlers
        assert isinstance(handler, GuestHandler) == bounded
    finally:
        logger.handlers[:] = before
        logger.setLevel(threshold)
