"""A token bucket: how often one device may ask for attention."""

from __future__ import annotations


class Throttle:
    """Allows ``burst`` events at once and ``rate`` per second in the long run.

    The clock is the caller's, in seconds, and does not go back.
    """

    __slots__ = ("_burst", "_rate", "_then", "_tokens")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._then = now

    def allow(self, now: float) -> bool:
        """Take a token; ``False`` when there is none."""
        self._tokens = min(self._burst, self._tokens + (now - self._then) * self._rate)
        self._then = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def wait(self) -> float:
        """Seconds until half the burst is there again: rather a pause than a trickle."""
        return max(0.0, (self._burst / 2 - self._tokens) / self._rate)
