"""What a connection counts: the numbers that ``status`` shows and the benchmark divides by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals since the connection was made."""

    requests: int = 0
    """Requests taken from the rings, Tflush and malformed ones too."""
    errors: int = 0
    """Requests answered with an error, which is often ordinary life (ENOENT)."""
    malformed: int = 0
    """Of the errors: messages that were not well formed."""
    unforeseen: int = 0
    """Of the errors: exceptions that nobody foresaw; each is a bug, and in the log."""
    bytes_read: int = 0
    """File data sent to the frontend."""
    bytes_written: int = 0
    """File data received from the frontend."""
