"""A library's handle with several users: whoever opened it, and each range made through it.

The drivers keep a range when the handle's descriptor is closed, but the libraries unmap it through
the handle.  So the handle is closed with its last user, or by the process's end.
"""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class SharedHandle:
    """Counts the users of a C handle."""

    def __init__(self, pointer: Any, close: Callable[[Any], int]) -> None:  # noqa: ANN401 -- C
        """The opener is the first user; ``close`` is called when there is none any more."""
        self.pointer: Final = pointer
        self._close = close
        self._lock = threading.Lock()
        self._users = 1
        self._open = True

    def acquire(self) -> None:
        """One more user.  Raises ``OSError`` (EBADF) when the opener has closed the handle."""
        with self._lock:
            if not self._open:
                raise OSError(errno.EBADF, "this handle is closed")
            self._users += 1

    def release(self) -> None:
        """One user less."""
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self._close(self.pointer)

    def close(self) -> None:
        """The opener is done with it; only once counts."""
        with self._lock:
            was_open, self._open = self._open, False
        if was_open:
            self.release()
