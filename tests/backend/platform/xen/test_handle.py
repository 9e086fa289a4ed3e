from __future__ import annotations

import errno

import pytest

from backend.platform.xen.handle import SharedHandle


def test_a_handle_is_closed_with_its_last_user() -> None:
    closed: list[str] = []

    def close(pointer: str) -> int:
        closed.append(pointer)
        return 0

    handle = SharedHandle("pointer", close)
    handle.acquire()
    handle.close()
    handle.close()
    assert closed == []
    with pytest.raises(OSError, match="closed") as error:
        handle.acquire()
    assert error.value.errno == errno.EBADF
    handle.release()
    assert closed == ["pointer"]
