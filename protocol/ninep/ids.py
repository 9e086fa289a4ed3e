"""Identifiers of a 9P session, each its own type so that a tag is never taken for a fid."""

from typing import Final, NewType

Fid = NewType("Fid", int)
"""A client's handle for a file, unsigned 32-bit; chosen by the client."""

Tag = NewType("Tag", int)
"""Names one request in flight, unsigned 16-bit; chosen by the client."""

NOTAG: Final = Tag(0xFFFF)
"""The tag of Tversion, version(5)."""

NOFID: Final = Fid(0xFFFF_FFFF)
"""The afid of a Tattach without authentication, attach(5)."""

NONUNAME: Final = 0xFFFF_FFFF
"""The n_uname of a user who has no number (9P2000.u)."""
