"""Numbers on the command line: decimal, within bounds, and refused with the bounds."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def number(what: str, low: int, high: int) -> Callable[[str], int]:
    """An argparse type: an integer from ``low`` to ``high``, called ``what`` in the refusal."""

    def convert(text: str) -> int:
        digits = text.isascii() and text.isdigit() and len(text) <= 10
        if not digits or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not {what}: {low} to {high} are possible"
            )
        return int(text)

    return convert
