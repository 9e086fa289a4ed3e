"""Tread, Twrite: file data, between the buffers of the transport and the file, never looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.fileserver.session import Session
    from protocol.ninep.messages import Tread, Twrite


def read(session: Session, request: Tread, buffers: Sequence[memoryview]) -> int:
    """Fill ``buffers`` from ``request.offset``; how many bytes, fewer than asked only at the end.

    The buffers' length counts, not ``request.count``: the caller has clamped it to what fits.

    Raises ``OSError``: EBADF (unknown, not open, not open for reading), EISDIR, EINVAL for an
    offset of 2**63 or more, and what preadv(2) says.
    """
    return session.fids[request.fid].file.read(buffers, request.offset)


def write(session: Session, request: Twrite, buffers: Sequence[memoryview]) -> int:
    """Write ``buffers`` at ``request.offset``; how many bytes, fewer only in a channel.

    Raises ``OSError``: EBADF (unknown, not open, not open for writing), EFBIG for an offset of
    2**63 or more, and what pwritev(2) says.
    """
    return session.fids[request.fid].file.write(buffers, request.offset)
