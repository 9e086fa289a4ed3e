"""One connection's side of the protocol, without its socket: requests in, packets out."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Protocol

from backend.platform.embedded.xenstore_nodes import NodeAccess, failure
from backend.platform.embedded.xenstore_paths import canonical, domain_path
from backend.platform.embedded.xenstore_transactions import Transaction
from backend.platform.embedded.xenstore_wire import PAYLOAD_MAX, Op, Packet

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.platform.embedded.xenstore_permissions import Caller
    from backend.platform.embedded.xenstore_state import State
    from backend.platform.embedded.xenstore_watches import Watch


class DomainControl(Protocol):
    """What requests ask of the server beyond its state: it has connections to end."""

    def reset(self, domid: int) -> None:
        """Drop the watches and transactions of a domain's connections."""

    def disconnect(self, domid: int) -> None:
        """End a domain's connections."""


class Session:
    """A client: its domain, its transactions, its watches."""

    def __init__(
        self, state: State, domid: int, control: DomainControl, send: Callable[[Packet], None]
    ) -> None:
        """``send`` takes packets for the client; it must not call back into the session."""
        self.state = state
        self.domid = domid
        self.control = control
        self._send = send
        self._transactions: dict[int, Transaction] = {}
        self._next_transaction = 1
        self._new_watches: list[Watch] = []

    @property
    def caller(self) -> Caller:
        """The domain with the rights it has now."""
        return self.state.caller(self.domid)

    def reply(self, request: Packet, op: int, payload: bytes) -> None:
        """Answer a request; the first events of watches that it set follow."""
        self._send(Packet(op, request.req_id, request.tx_id, payload))
        for watch in self._new_watches:
            watch.report(watch.path)
        self._new_watches.clear()

    def event(self, path: bytes, token: bytes) -> None:
        """Send a WATCH_EVENT, unless it is too long for a packet: xenstored drops those."""
        payload = b"%b\0%b\0" % (path, token)
        if len(payload) <= PAYLOAD_MAX:
            self._send(Packet(Op.WATCH_EVENT, 0, 0, payload))

    def nodes(self, tx_id: int) -> NodeAccess:
        """Nodes as seen in a transaction, or (0) in the store.  Raises ``OSError`` ENOENT."""
        if tx_id == 0:
            return self.state.access(self.caller)
        transaction = self.transaction(tx_id)
        return self.state.access(self.caller, transaction, transaction.note)

    def path(self, raw: bytes, *, special: bool = False) -> str:
        """A path of a request, made absolute.  Raises ``OSError`` EINVAL."""
        return canonical(raw, self.domid, special=special)

    def transaction(self, tx_id: int) -> Transaction:
        """An open transaction of this connection.  Raises ``OSError`` ENOENT."""
        try:
            return self._transactions[tx_id]
        except KeyError:
            raise failure(errno.ENOENT) from None

    def start_transaction(self) -> int:
        """Open a transaction; returns its number.  Raises ``OSError`` ENOSPC."""
        usage = self.state.usage
        usage.take(usage.transactions, usage.limits.transactions, self.domid)
        while self._next_transaction in self._transactions or self._next_transaction == 0:
            self._next_transaction = (self._next_transaction + 1) & 0xFFFFFFFF
        number = self._next_transaction
        self._next_transaction = (number + 1) & 0xFFFFFFFF
        self._transactions[number] = Transaction(self.state.tree, self.caller, self.state.limits)
        return number

    def end_transaction(self, tx_id: int, *, commit: bool) -> None:
        """Close a transaction.  Raises ``OSError``, and it is closed all the same."""
        transaction = self.transaction(tx_id)
        self._drop_transaction(tx_id)
        if commit:
            for change in transaction.commit():
                self.state.fire(change)

    def watch(self, raw: bytes, token: bytes) -> None:
        """Set a watch; its first event follows the reply.  Raises ``OSError`` EEXIST, E2BIG."""
        path = self.path(raw, special=True)
        prefix = 0 if raw[:1] in (b"/", b"@") else len(domain_path(self.domid)) + 1
        self._new_watches.append(self.state.watches.add(self, path, token, prefix))

    def reset(self) -> None:
        """Drop watches and transactions."""
        self.state.watches.remove_all(self)
        for tx_id in list(self._transactions):
            self._drop_transaction(tx_id)

    def _drop_transaction(self, tx_id: int) -> None:
        del self._transactions[tx_id]
        self.state.usage.give_back(self.state.usage.transactions, self.domid)
