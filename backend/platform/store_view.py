"""``protocol.xenpv.ports.StoreView`` over one connection: pyxs's client with bounded waits.

pyxs builds the requests.  Replaced is what waits for ever, refuses empty and non-ASCII values, cuts
trailing NUL bytes off values, and lets a NUL or newline at the end of a path through.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from typing import TYPE_CHECKING

import pyxs.client
from pyxs.client import Op
from pyxs.exceptions import InvalidPath, InvalidPermission, PyXSError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.platform.store_link import Link
    from protocol.xenpv.ports import Names

    RawNames = list[bytes]

NUL = b"\0"
DIRECTORY_PART = 22
"""XS_DIRECTORY_PART of xen/io/xs_wire.h, which pyxs does not know."""

_PATH = re.compile(r"/|/?[A-Za-z0-9_@-]+(/[A-Za-z0-9_@-]+)*")
_PERMISSION = re.compile(r"[nrwb][0-9]{1,5}")
_MAX_DOMID = 0xFFFF


class BoundedClient(pyxs.client.Client):  # type: ignore[misc] # pyxs has no types
    """pyxs's client, its requests carried by a ``Link``."""

    def __init__(self, link: Link, timeout: float) -> None:
        super().__init__(router=link)
        self._timeout = timeout

    def execute_command(self, op: int, *args: bytes, **_kwargs: object) -> bytes:
        """A request and its reply, stripped of final NULs except for a node's value."""
        payload: bytes = self.router.call(op, b"".join(args), self.tx_id, self._timeout)
        return payload if op in (Op.READ, DIRECTORY_PART) else payload.rstrip(NUL)


class View:
    """Nodes, directly or in a transaction of one connection."""

    def __init__(self, link: Link, timeout: float) -> None:
        """``timeout`` bounds each call, in seconds."""
        self._client = BoundedClient(link, timeout)
        self._timeout = timeout

    def read(self, path: str) -> bytes:
        """A node's value as it stands: any bytes, whoever wrote them."""
        with _errors(path):
            value: bytes = self._usable().read(encode_path(path))
            return value

    def write(self, path: str, value: bytes) -> None:
        """Set a value; missing parents are created."""
        with _errors(path):
            self._usable().write(encode_path(path), bytes(value))

    def mkdir(self, path: str) -> None:
        """Create an empty node, and its parents; no error if it is there."""
        with _errors(path):
            self._usable().mkdir(encode_path(path))

    def rm(self, path: str) -> None:
        """Remove a node and all below it; no error if it is not there but its parent is."""
        with _errors(path):
            self._usable().delete(encode_path(path))

    def list(self, path: str) -> Names:
        """The names of a node's children, however many."""
        with _errors(path):
            raw = encode_path(path)
            try:
                names = self._usable().list(raw)
            except OSError as error:
                if error.errno != errno.E2BIG:
                    raise
                names = self._list_in_parts(raw)
            return [name.decode("ascii", "surrogateescape") for name in names]

    def get_permissions(self, path: str) -> Names:
        """Permissions, the owner first."""
        with _errors(path):
            return [entry.decode("ascii") for entry in self._usable().get_perms(encode_path(path))]

    def set_permissions(self, path: str, permissions: Sequence[str]) -> None:
        """Replace a node's permissions."""
        with _errors(path):
            # Xen's own xenstored takes domids of more than 16 bits.
            if not permissions or not all(map(_is_permission, permissions)):
                raise OSError(errno.EINVAL, f"not XenStore permissions: {permissions}")
            entries = [entry.encode() for entry in permissions]
            self._usable().set_perms(encode_path(path), entries)

    def introduced(self, domid: int) -> bool:
        """Whether the domain was created and is not dying."""
        with _errors(None):
            answer = self._usable().execute_command(Op.IS_DOMAIN_INTRODUCED, b"%d" % domid + NUL)
            return bool(answer == b"T")

    def _usable(self) -> BoundedClient:
        return self._client

    def _list_in_parts(self, path: bytes) -> RawNames:
        """Read a long list piece by piece, again from the start when it changes meanwhile."""
        deadline = time.monotonic() + self._timeout
        names = generation = b""
        while time.monotonic() < deadline:
            offset = b"%d" % len(names)
            part = self._usable().execute_command(DIRECTORY_PART, path + NUL, offset + NUL)
            current, _, piece = part.partition(NUL)
            if names and current != generation:
                names = b""
                continue
            generation = current
            # The last piece ends with an empty name.
            if piece in (b"", NUL) or piece.endswith(NUL + NUL):
                return [name for name in (names + piece).split(NUL) if name]
            names += piece
        raise TimeoutError(errno.ETIMEDOUT, "the list of children kept changing")


class TransactionView(View):
    """Nodes as a transaction sees them; of no use once it has ended."""

    def __init__(self, link: Link, timeout: float) -> None:
        """Start the transaction.  Raises ``OSError``."""
        super().__init__(link, timeout)
        self._link = link
        self._ended = False
        with _errors(None):
            number = self._start()
            if not 0 < number <= 0xFFFFFFFF:
                # Number 0 would mean "no transaction" to the daemon.
                raise OSError(errno.EIO, f"XenStore gave a transaction the number {number}")

    def _start(self) -> int:
        try:
            number: int = self._client.transaction()
        except TimeoutError:
            # The daemon may open it later, and nobody would know its number to end it.
            self._link.abandon("the daemon did not answer the start of a transaction")
            raise
        return number

    def commit(self) -> None:
        """Make the changes visible.  Raises ``OSError`` EAGAIN on a conflict.

        After ``StoreUnavailable`` or ``TimeoutError`` nobody knows whether it took place.
        """
        with _errors(None):
            client = self._usable()
            self._ended = True
            client.ack(Op.TRANSACTION_END, b"T" + NUL)

    def abort(self) -> None:
        """Drop the changes, without waiting for the daemon to say so."""
        if not self._ended:
            self._ended = True
            with contextlib.suppress(OSError):
                self._link.send(Op.TRANSACTION_END, b"F" + NUL, self._client.tx_id)

    def _usable(self) -> BoundedClient:
        if self._ended:
            raise OSError(errno.EINVAL, "the transaction has ended")
        return self._client


def encode_path(path: str) -> bytes:
    """A node's path for the wire.  Raises ``OSError`` EINVAL for one outside XenStore's grammar."""
    # oxenstored would look a special path up below our home.
    if path.startswith("@") or not _PATH.fullmatch(path):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    return path.encode("ascii")


def encode_watched_path(path: str) -> bytes:
    """A node's path, or a special one: ``@releaseDomain``.  Raises ``OSError`` EINVAL."""
    return b"@" + encode_path(path[1:]) if path.startswith("@") else encode_path(path)


@contextlib.contextmanager
def _errors(path: str | None) -> Iterator[None]:
    """Put the path into what is raised, and make pyxs's own exceptions ``OSError``s."""
    try:
        yield
    except OSError as error:
        if error.filename is None and path is not None:
            error.filename = path
        raise
    except (PyXSError, ValueError) as error:
        # pyxs refused an argument, or could make nothing of the daemon's answer.
        refused = isinstance(error, InvalidPath | InvalidPermission)
        code = errno.EINVAL if refused else errno.EIO
        raise OSError(code, f"{os.strerror(code)} ({error})", path) from None


def _is_permission(entry: str) -> bool:
    return bool(_PERMISSION.fullmatch(entry)) and int(entry[1:]) <= _MAX_DOMID
