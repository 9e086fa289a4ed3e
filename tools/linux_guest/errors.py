"""What stops a run before it could say anything about the file server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class GuestError(Exception):
    """The guest cannot be prepared, started or reached; the text says what to do about it."""


def exit_status(name: str, run: Callable[[], int]) -> int:
    """What ``run`` returns; 1 and a line that begins with ``name`` where it cannot go on."""
    try:
        return run()
    except GuestError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
