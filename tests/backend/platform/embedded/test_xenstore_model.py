"""Random work of Dom0 and two guests, with transactions, against a store a page long.

The model keeps every node as (value, permissions) in a dictionary, copies all of it when a
transaction first touches a node, and decides conflicts by comparing what was touched.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from backend.platform.embedded.xenstore_state import State
from tests.backend.platform.xenstore_clients import LocalClient

DOMIDS = (0, 5, 6)
PATHS = ["/", "/a", "/a/x", "/a/x/y", "/b", "/b/x", "/b/z"]
paths = st.sampled_from(PATHS)
below_root = st.sampled_from(PATHS[1:])
values = st.sampled_from([b"", b"1", b"2"])
entries = st.sampled_from(
    [*("n0", "r0", "b0", "n5", "n6", "r5", "b6"), "n0,r5", "n0,b6", "n5,r6", "b6,n5", "w0,w5,r6"]
)
domids = st.sampled_from(DOMIDS)
scopes = st.integers(0, 2)


class Entry(NamedTuple):
    """A node; ``version`` differs for any two states of it."""

    value: bytes
    permissions: tuple[str, ...]
    version: int


class Refused(Exception):  # noqa: N818 -- what the model says, not a fault of it
    def __init__(self, code: int) -> None:
        super().__init__(errno.errorcode[code])
        self.code = code


Nodes = dict[str, Entry]


def up(path: str) -> str:
    return path.rpartition("/")[0] or "/"


class View:
    """What the model's store, or a transaction's idea of it, looks like to a domain."""

    def __init__(self, base: Nodes) -> None:
        self.base = base
        self.own: dict[str, Entry | None] = {}
        self.seen: dict[str, Entry | None] = {}

    def get(self, path: str) -> Entry | None:
        if path not in self.seen:
            self.seen[path] = self.own[path] = self.base.get(path)
        return self.own[path]


class Model:
    """The nodes; every state of a node, its list of children included, has its own version."""

    def __init__(self) -> None:
        self.versions = 0
        self.nodes: Nodes = {}
        for path in ("/", "/a", "/b"):
            self.nodes[path] = self.entry(b"", ("n0",))

    def entry(self, value: bytes, permissions: tuple[str, ...]) -> Entry:
        self.versions += 1
        return Entry(value, permissions, self.versions)


def allows(entry: Entry, domid: int, need: str) -> bool:
    first = entry.permissions[0]
    if domid in (0, int(first[1:])):
        return True
    letter = first[0]
    for permission in entry.permissions[1:]:
        if int(permission[1:]) == domid:
            letter = permission[0]
            break
    return letter in ("b", need)


def find(view: View, domid: int, path: str, need: str) -> Entry | None:
    entry = view.get(path)
    if entry is not None:
        if not allows(entry, domid, need):
            raise Refused(errno.EACCES)
        return entry
    above = up(path)
    while (nearest := view.get(above)) is None:
        above = up(above)
    if not allows(nearest, domid, need):
        raise Refused(errno.EACCES)
    return None


class XenStoreAgainstModel(RuleBasedStateMachine):
    """Every operation has the same outcome in both; after each, so has every node."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        for domid in DOMIDS[1:]:
            self.state.introduce(domid)
        self.clients = {domid: LocalClient(self.state, domid) for domid in DOMIDS}
        self.model = Model()
        for path in (b"/a", b"/b"):
            self.clients[0].write(path)
        self.clients[0].rm(b"/tool")
        self.open: dict[int, list[tuple[int, View]]] = {domid: [] for domid in DOMIDS}

    def pick(self, domid: int, scope: int) -> tuple[int, View]:
        """The store itself, or one of the domain's transactions.

        Not one that can only fail: what it sees may mix two moments, and then depends on which
        nodes below a removed one were ever looked at.
        """
        transactions = [each for each in self.open[domid] if not self.conflicts(each[1])]
        if scope == 0 or not transactions:
            return 0, View(self.model.nodes)
        return transactions[scope % len(transactions)]

    def conflicts(self, view: View) -> bool:
        """Whether what a transaction has seen is not so any more."""
        return any(self.model.nodes.get(path) != entry for path, entry in view.seen.items())

    def finish(self, tx: int, view: View) -> None:
        """Outside a transaction what was changed is the store's at once."""
        if tx == 0:
            self.publish(view)

    def publish(self, view: View) -> None:
        for path, entry in view.own.items():
            if entry is view.seen[path]:
                continue
            if entry is None:
                self.model.nodes.pop(path, None)
            else:
                self.model.nodes[path] = self.model.entry(entry.value, entry.permissions)

    def touch(self, view: View, path: str) -> None:
        """A node whose children change gets a new version."""
        entry = view.get(path)
        assert entry is not None
        view.own[path] = self.model.entry(entry.value, entry.permissions)

    def create(self, view: View, domid: int, path: str, value: bytes) -> None:
        missing = [path]
        while view.get(up(missing[-1])) is None:
            missing.append(up(missing[-1]))
        top = up(missing[-1])
        above = view.get(top)
        assert above is not None
        permissions = above.permissions
        if domid:
            permissions = (f"{permissions[0][0]}{domid}", *permissions[1:])
        for new in missing:
            view.own[new] = self.model.entry(value if new == path else b"", permissions)
        self.touch(view, top)

    def both(self, client: object, model: object) -> None:
        """Call both; they must return the same, or refuse with the same errno."""
        try:
            expected: object = model()  # type: ignore[operator]
        except Refused as refused:
            expected = refused.code
        try:
            actual: object = client()  # type: ignore[operator]
        except OSError as error:
            actual = error.errno
        assert actual == expected

    @rule(domid=domids, scope=scopes, path=paths, value=values)
    def write(self, domid: int, scope: int, path: str, value: bytes) -> None:
        tx, view = self.pick(domid, scope)

        def model() -> None:
            entry = find(view, domid, path, "w")
            if entry is None:
                self.create(view, domid, path, value)
            else:
                view.own[path] = self.model.entry(value, entry.permissions)
            self.finish(tx, view)

        self.both(lambda: self.clients[domid].write(path.encode(), value, tx), model)

    @rule(domid=domids, scope=scopes, path=paths)
    def mkdir(self, domid: int, scope: int, path: str) -> None:
        tx, view = self.pick(domid, scope)

        def model() -> None:
            if find(view, domid, path, "w") is None:
                self.create(view, domid, path, b"")
                self.finish(tx, view)

        self.both(lambda: self.clients[domid].mkdir(path.encode(), tx), model)

    @rule(domid=domids, scope=scopes, path=below_root)
    def rm(self, domid: int, scope: int, path: str) -> None:
        tx, view = self.pick(domid, scope)

        def model() -> None:
            if find(view, domid, path, "w") is None:
                if view.get(up(path)) is None:
                    raise Refused(errno.ENOENT)
                return
            for each in PATHS:
                if (each + "/").startswith(path + "/") and view.get(each) is not None:
                    view.own[each] = None
            self.touch(view, up(path))
            self.finish(tx, view)

        self.both(lambda: self.clients[domid].rm(path.encode(), tx), model)

    @rule(domid=domids, scope=scopes, path=paths)
    def read(self, domid: int, scope: int, path: str) -> None:
        tx, view = self.pick(domid, scope)

        def model() -> bytes:
            entry = find(view, domid, path, "r")
            if entry is None:
                raise Refused(errno.ENOENT)
            return entry.value

        self.both(lambda: self.clients[domid].read(path.encode(), tx), model)

    @rule(domid=domids, scope=scopes, path=paths, permissions=entries)
    def chmod(self, domid: int, scope: int, path: str, permissions: str) -> None:
        tx, view = self.pick(domid, scope)
        wanted = tuple(permissions.split(","))

        def model() -> None:
            entry = find(view, domid, path, "w")
            if entry is None:
                raise Refused(errno.ENOENT)
            owner = int(entry.permissions[0][1:])
            if domid not in (0, owner):
                raise Refused(errno.EACCES)
            if domid and int(wanted[0][1:]) != owner:
                raise Refused(errno.EPERM)
            view.own[path] = self.model.entry(entry.value, wanted)
            self.finish(tx, view)

        self.both(lambda: self.clients[domid].chmod(path.encode(), permissions.encode(), tx), model)

    @precondition(lambda self: any(len(found) < 2 for found in self.open.values()))
    @rule(domid=domids)
    def start(self, domid: int) -> None:
        if len(self.open[domid]) < 2:
            self.open[domid].append((self.clients[domid].start(), View(self.model.nodes)))

    @precondition(lambda self: any(self.open.values()))
    @rule(domid=domids, which=st.integers(0, 1), commit=st.booleans())
    def end(self, domid: int, which: int, commit: bool) -> None:
        if which >= len(self.open[domid]):
            return
        tx, view = self.open[domid].pop(which)

        def model() -> None:
            if commit:
                if self.conflicts(view):
                    raise Refused(errno.EAGAIN)
                self.publish(view)

        self.both(lambda: self.clients[domid].end(tx, b"T" if commit else b"F"), model)

    @invariant()
    def the_store_is_the_models(self) -> None:
        dom0 = self.clients[0]
        found: dict[str, tuple[bytes, tuple[str, ...]]] = {}
        pending = ["/"]
        while pending:
            path = pending.pop()
            raw = path.encode()
            permissions = dom0.permissions(raw).decode().split(",")
            found[path] = (dom0.read(raw), tuple(permissions))
            names = [name.decode() for name in dom0.children(raw)]
            assert len(set(names)) == len(names)
            pending.extend(("" if path == "/" else path) + "/" + name for name in names)
        expected = {
            path: (entry.value, entry.permissions) for path, entry in self.model.nodes.items()
        }
        assert found == expected

    @invariant()
    def every_node_is_counted_for_its_owner(self) -> None:
        owners = [int(entry.permissions[0][1:]) for entry in self.model.nodes.values()]
        for domid in DOMIDS[1:]:
            assert self.state.tree.owned(domid) == owners.count(domid)


TestXenStoreAgainstModel = XenStoreAgainstModel.TestCase
TestXenStoreAgainstModel.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
