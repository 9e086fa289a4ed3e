"""One function per request: its payload in, its reply's payload out, or ``OSError``.

Payloads are as Xen's docs/misc/xenstore.txt gives them.
"""

from __future__ import annotations

import errno
import logging
import re
from typing import TYPE_CHECKING, NamedTuple

from backend.platform.embedded.xenstore_nodes import failure
from backend.platform.embedded.xenstore_paths import domain_path, invalid
from backend.platform.embedded.xenstore_permissions import (
    Access,
    format_permissions,
    parse_permissions,
)
from backend.platform.embedded.xenstore_wire import PAYLOAD_MAX, Op, Packet, error_payload
from protocol.xenpv.ids import DOMID_FIRST_RESERVED

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.platform.embedded.xenstore_session import Session

log = logging.getLogger(__name__)

OK = b"OK\0"
_NUMBER = re.compile(rb"[0-9]{1,9}", re.ASCII)


def directory(session: Session, tx_id: int, payload: bytes) -> bytes:
    """Names of children."""
    path = session.path(only_string(payload))
    node = session.nodes(tx_id).existing(path, Access.READ)
    return names(node.children)


def directory_part(session: Session, tx_id: int, payload: bytes) -> bytes:
    """As many whole names as fit, from an offset in the list; an empty name ends the list."""
    raw, offset = strings(payload, 2, 2)
    node = session.nodes(tx_id).existing(session.path(raw), Access.READ)
    generation = b"%d\0" % node.generation
    rest = names(node.children)[number(offset) :]
    room = PAYLOAD_MAX - len(generation) - 1
    if len(rest) <= room:
        return generation + rest + b"\0"
    return generation + rest[: rest.rindex(b"\0", 0, room) + 1]


def read(session: Session, tx_id: int, payload: bytes) -> bytes:
    """A node's value."""
    path = session.path(only_string(payload))
    return session.nodes(tx_id).existing(path, Access.READ).value


def write(session: Session, tx_id: int, payload: bytes) -> bytes:
    """Set a value: everything after the path's NUL, whatever bytes these are."""
    raw, nul, value = payload.partition(b"\0")
    if not nul:
        raise invalid()
    session.nodes(tx_id).write(session.path(raw), value)
    return OK


def mkdir(session: Session, tx_id: int, payload: bytes) -> bytes:
    """See that a node exists."""
    session.nodes(tx_id).mkdir(session.path(only_string(payload)))
    return OK


def remove(session: Session, tx_id: int, payload: bytes) -> bytes:
    """See that a node does not exist."""
    session.nodes(tx_id).remove(session.path(only_string(payload)))
    return OK


def get_permissions(session: Session, tx_id: int, payload: bytes) -> bytes:
    """A node's permissions, or those of a special watch."""
    path = session.path(only_string(payload), special=True)
    node = session.nodes(tx_id).existing(path, Access.READ)
    return b"".join(entry + b"\0" for entry in format_permissions(node.permissions))


def set_permissions(session: Session, tx_id: int, payload: bytes) -> bytes:
    """Replace a node's permissions."""
    raw, *entries = strings(payload, 2)
    permissions = parse_permissions(entries, session.state.existing)
    session.nodes(tx_id).set_permissions(session.path(raw, special=True), permissions)
    return OK


def watch(session: Session, _tx_id: int, payload: bytes) -> bytes:
    """Set a watch."""
    raw, token = strings(payload, 2, 2)
    session.watch(raw, token)
    return OK


def unwatch(session: Session, _tx_id: int, payload: bytes) -> bytes:
    """Unset a watch."""
    raw, token = strings(payload, 2, 2)
    session.state.watches.remove(session, session.path(raw, special=True), token)
    return OK


def reset_watches(session: Session, _tx_id: int, _payload: bytes) -> bytes:
    """Drop all watches and transactions."""
    session.reset()
    return OK


def transaction_start(session: Session, tx_id: int, _payload: bytes) -> bytes:
    """Open a transaction; they do not nest."""
    if tx_id:
        session.transaction(tx_id)
        raise failure(errno.EBUSY)
    return b"%d\0" % session.start_transaction()


def transaction_end(session: Session, tx_id: int, payload: bytes) -> bytes:
    """Commit (T) or abort (F)."""
    if tx_id:
        session.transaction(tx_id)
    if payload not in (b"T\0", b"F\0"):
        raise invalid()
    session.end_transaction(tx_id, commit=payload == b"T\0")
    return OK


def introduce(session: Session, _tx_id: int, payload: bytes) -> bytes:
    """Announce a domain; done again, its connections start afresh."""
    domain, _page, port, *_ = strings(payload, 3)
    domid = guest(domain)
    if number(port) == 0:
        raise invalid()
    session.control.reset(domid)
    session.state.introduce(domid)
    return OK


def release(session: Session, _tx_id: int, payload: bytes) -> bytes:
    """A domain is gone."""
    domid = introduced(session, payload)
    session.control.disconnect(domid)
    session.state.release(domid)
    return OK


def resume(session: Session, _tx_id: int, payload: bytes) -> bytes:
    """A domain runs again.  Ours are never half dead, so there is nothing to do."""
    introduced(session, payload)
    return OK


def set_target(session: Session, _tx_id: int, payload: bytes) -> bytes:
    """Give a device-model domain the rights of the guest it serves."""
    domain, target, *_ = strings(payload, 2)
    session.state.set_target(any_domid(domain), any_domid(target))
    return OK


def get_domain_path(_session: Session, _tx_id: int, payload: bytes) -> bytes:
    """Where a domain's relative paths begin."""
    return domain_path(any_domid(only_string(payload))).encode() + b"\0"


def is_domain_introduced(session: Session, _tx_id: int, payload: bytes) -> bytes:
    """T or F."""
    known = any_domid(only_string(payload)) in session.state.introduced
    return b"T\0" if known else b"F\0"


def control(_session: Session, _tx_id: int, payload: bytes) -> bytes:
    """``print`` writes to the log, ``help`` lists the commands; there are no others."""
    command, *arguments = strings(payload, 1)
    if command == b"help" and not arguments:
        return b"help\nprint <string>\0"
    if command == b"print" and len(arguments) == 1:
        log.info("control: %r", arguments[0])
        return OK
    raise invalid()


class Request(NamedTuple):
    """How a type of request is treated."""

    run: Callable[[Session, int, bytes], bytes]
    dom0_only: bool = False


REQUESTS: dict[int, Request] = {
    Op.CONTROL: Request(control, dom0_only=True),
    Op.DIRECTORY: Request(directory),
    Op.READ: Request(read),
    Op.GET_PERMS: Request(get_permissions),
    Op.WATCH: Request(watch),
    Op.UNWATCH: Request(unwatch),
    Op.TRANSACTION_START: Request(transaction_start),
    Op.TRANSACTION_END: Request(transaction_end),
    Op.INTRODUCE: Request(introduce, dom0_only=True),
    Op.RELEASE: Request(release, dom0_only=True),
    Op.GET_DOMAIN_PATH: Request(get_domain_path),
    Op.WRITE: Request(write),
    Op.MKDIR: Request(mkdir),
    Op.RM: Request(remove),
    Op.SET_PERMS: Request(set_permissions),
    Op.IS_DOMAIN_INTRODUCED: Request(is_domain_introduced, dom0_only=True),
    Op.RESUME: Request(resume, dom0_only=True),
    Op.SET_TARGET: Request(set_target, dom0_only=True),
    Op.RESET_WATCHES: Request(reset_watches),
    Op.DIRECTORY_PART: Request(directory_part),
}


def answer(session: Session, request: Packet) -> None:
    """Carry out any request and reply: exactly one packet, after the events it caused."""
    try:
        payload = _run(session, request)
        if len(payload) > PAYLOAD_MAX:
            raise failure(errno.E2BIG)
        op = request.op
    except OSError as error:
        op, payload = Op.ERROR, error_payload(error)
    session.reply(request, op, payload)


def _run(session: Session, request: Packet) -> bytes:
    entry = REQUESTS.get(request.op)
    if entry is None:
        raise failure(errno.ENOSYS)
    if entry.dom0_only and session.domid != 0:
        raise failure(errno.EACCES)
    return entry.run(session, request.tx_id, request.payload)


def names(children: tuple[str, ...]) -> bytes:
    """A list of names as on the wire."""
    return "".join(f"{name}\0" for name in children).encode("ascii")


def only_string(payload: bytes) -> bytes:
    """The one string of a payload that has its only NUL at the end."""
    if payload.find(b"\0") != len(payload) - 1:
        raise invalid()
    return payload[:-1]


def strings(payload: bytes, least: int, most: int | None = None) -> list[bytes]:
    """The NUL-terminated strings of a payload; what follows the last NUL is ignored.

    Raises ``OSError`` EINVAL unless there are ``least`` to ``most`` (``None``: any number).
    """
    found = payload.split(b"\0")[:-1]
    if len(found) < least or (most is not None and len(found) > most):
        raise invalid()
    return found


def number(raw: bytes) -> int:
    """A small decimal number."""
    if not _NUMBER.fullmatch(raw):
        raise invalid()
    return int(raw)


def any_domid(raw: bytes) -> int:
    """A 16-bit domain number."""
    domid = number(raw)
    if domid > 0xFFFF:
        raise invalid()
    return domid


def guest(raw: bytes) -> int:
    """The number of a real domain that is not Dom0."""
    domid = any_domid(raw)
    if not 0 < domid < DOMID_FIRST_RESERVED:
        raise invalid()
    return domid


def introduced(session: Session, payload: bytes) -> int:
    """The guest a payload names.  Raises ``OSError`` ENOENT if it was not introduced."""
    domid = guest(only_string(payload))
    if domid not in session.state.introduced:
        raise failure(errno.ENOENT)
    return domid
