"""What a platform must refuse, by errno."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def refused(code: int) -> AbstractContextManager[object]:
    """The block must end with an ``OSError`` of this errno."""
    return pytest.raises(OSError, match=re.escape(f"[Errno {code}]"))
