"""Whatever goes wrong, the guest gets one Linux errno."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from protocol.ninep.codec import ProtocolError, encode
from protocol.ninep.dialects import Dialect
from protocol.ninep.errno_map import MAX_ENAME, ename, errno_of, error_reply
from protocol.ninep.ids import Tag
from protocol.ninep.messages import Rerror, Rlerror


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.ENOENT, "x"), errno.ENOENT),
        (FileExistsError(errno.EEXIST, "x"), errno.EEXIST),
        (OSError(errno.EOPNOTSUPP, "x"), errno.EOPNOTSUPP),
        (OSError("no number"), errno.EIO),
        (OSError(99999, "not Linux's"), errno.EIO),
        (OSError(0, "success is no error"), errno.EIO),
        (OSError(-5, "negative"), errno.EIO),
        (TimeoutError(), errno.EIO),
        (ProtocolError("bad"), errno.EPROTO),
        (MemoryError(), errno.ENOMEM),
        (ZeroDivisionError(), errno.EIO),
        (RecursionError(), errno.EIO),
        (KeyboardInterrupt(), errno.EIO),
    ],
)
def test_every_exception_has_its_errno(error: BaseException, number: int) -> None:
    assert errno_of(error) == number


def test_the_reply_is_the_dialects() -> None:
    assert error_reply(Dialect.DOTL, Tag(4), errno.EACCES) == Rlerror(Tag(4), 13)
    assert error_reply(None, Tag(4), errno.EACCES) == Rlerror(Tag(4), 13)
    assert error_reply(Dialect.DOTU, Tag(4), errno.ENOENT) == (Rerror(Tag(4), b"file not found", 2))
    assert ename(errno.EDOM) == b"EDOM"


def test_every_errno_makes_a_reply_short_enough_for_linux() -> None:
    for number in errno.errorcode:
        assert 0 < len(ename(number)) <= MAX_ENAME
        assert ename(number).isascii()
        assert len(encode(error_reply(Dialect.DOTU, Tag(0), number))) <= 7 + MAX_ENAME + 4 + 2


def test_every_errno_that_the_server_raises_has_words() -> None:
    backend = Path(__file__).resolve().parents[3] / "backend"
    sources = list(backend.glob("fileserver/**/*.py"))
    assert sources
    for source in sources:
        for symbol in re.findall(r"errno\.(E[0-9A-Z]+)", source.read_text()):
            assert ename(getattr(errno, symbol)) != symbol.encode(), f"{symbol} in {source.name}"
