"""Clients that share, map, bind, let go and die in any order: nothing is lost, nothing is left."""

from __future__ import annotations

import os
import random
import selectors
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from backend.platform.embedded.domains import Client, Hypervisor
from backend.platform.embedded.hypercalls import Answer, call, open_handle
from backend.platform.embedded.memory import FRAMES
from backend.platform.embedded.toolstack import StoreToolstack
from backend.platform.embedded.wire import Kind, Packet, run_of
from protocol.xenpv.ids import Domid

if TYPE_CHECKING:
    from pathlib import Path

    from backend.platform.embedded.grants import Mapping

STEPS = 3000
DOMIDS = [Domid(0), Domid(1), Domid(2)]
"""Few, so that one domain often grants or offers what another then asks for."""


class Walk:
    """Calls as the server makes them, each chosen by chance."""

    def __init__(self, rng: random.Random, hypervisor: Hypervisor) -> None:
        self.rng = rng
        self.hypervisor = hypervisor
        self.done: Counter[str] = Counter()
        for domid in DOMIDS[1:]:
            hypervisor.create(domid)

    def step(self) -> None:
        weighted = {
            self.open: 3,
            self.die: 1,
            self.destroy: 0.6,
            self.create: 1,
            self.share: 4,
            self.end: 2,
            self.map: 6,
            self.map_again: 2,
            self.unmap: 2,
            self.alloc: 4,
            self.bind: 6,
            self.unbind: 2,
        }
        (chosen,) = self.rng.choices(list(weighted), list(weighted.values()))
        chosen()

    def some(self, kind: Kind) -> Client | None:
        """A client of this kind, if there is one; sorted, so that a seed always does the same."""
        clients = sorted(
            (client for client in self.hypervisor.clients if client.kind is kind),
            key=lambda client: client.pid,
        )
        return self.rng.choice(clients) if clients else None

    def call(self, client: Client, name: str, words: list[int] | None = None, **fields: int) -> Any:
        """The answer, or ``None`` when the call was refused."""
        try:
            packet = Packet({"call": name, **fields}, tuple(words or ()))
            answer: Answer = call(self.hypervisor, client, packet)
        except OSError:
            self.done[f"{name} refused"] += 1
            return None
        self.done[name] += 1
        return answer

    def open(self) -> None:
        kind, domid = self.rng.choice(list(Kind)[1:]), self.rng.choice(DOMIDS)
        if domid not in self.hypervisor.domids():
            return
        number = self.done["open"] = self.done["open"] + 1
        packet = Packet({"call": "open", "kind": kind.value, "domid": domid}, ())
        opened: list[Client] = []
        opened.append(
            open_handle(self.hypervisor, packet, number, lambda: self.hypervisor.detach(opened[0]))
        )
        self.hypervisor.attach(opened[0])

    def die(self) -> None:
        if client := self.some(self.rng.choice(list(Kind)[1:])):
            self.hypervisor.detach(client)

    def destroy(self) -> None:
        """Rather a domain that is mapped than another."""
        domid = self.rng.choice([*filter(self.is_mapped, DOMIDS[1:])] or DOMIDS[1:])
        if domid in self.hypervisor.domids():
            self.hypervisor.destroy(domid)

    def create(self) -> None:
        domid = self.rng.choice(DOMIDS[1:])
        if domid in self.hypervisor.domids():
            return
        if self.is_mapped(domid):
            with pytest.raises(FileExistsError):
                self.hypervisor.create(domid)
            self.done["create refused"] += 1
        else:
            self.hypervisor.create(domid)

    def is_mapped(self, domid: Domid) -> bool:
        return any(mapping.regions[0].domid == domid for mapping in self.mappings())

    def mappings(self) -> list[Mapping]:
        """All mappings of all clients."""
        return [
            mapping for client in self.hypervisor.clients for mapping in client.mappings.values()
        ]

    def share(self) -> None:
        if client := self.some(Kind.SHARER):
            self.call(
                client, "share", domid=self.rng.choice(DOMIDS), count=self.rng.randrange(1, 9)
            )

    def end(self) -> None:
        client = self.some(Kind.SHARER)
        if client and client.shares:
            assert self.call(client, "end", number=self.rng.choice(list(client.shares)))

    def map(self) -> None:
        mapper, sharer = self.some(Kind.MAPPER), self.some(Kind.SHARER)
        if not mapper or not sharer or not sharer.shares:
            return
        grefs: list[int] = [gref for share in sharer.shares.values() for gref in share.grefs]
        chosen = self.rng.sample(grefs, self.rng.randint(1, min(12, len(grefs))))
        allowed = {
            gref
            for share in sharer.shares.values()
            if share.permitted == mapper.domain.domid
            for gref in share.grefs
        }
        if self.rng.random() < 0.7:
            chosen = [gref for gref in chosen if gref in allowed]
        answer = self.call(mapper, "map", chosen, domid=sharer.domain.domid)
        assert bool(answer) == (bool(chosen) and allowed.issuperset(chosen))
        if answer:
            assert sum(run_of(word)[1] for word in answer.words) == len(chosen)

    def map_again(self) -> None:
        """What is mapped can be mapped by whoever mapped it, whatever became of the sharer."""
        client = self.some(Kind.MAPPER)
        if client and client.mappings:
            mapping = self.rng.choice(list(client.mappings.values()))
            domid = mapping.regions[0].domid
            assert self.call(client, "map", list(mapping.grefs), domid=domid)
            self.done["map of a dying domain"] += domid not in self.hypervisor.domids()

    def unmap(self) -> None:
        client = self.some(Kind.MAPPER)
        if client and client.mappings:
            assert self.call(client, "unmap", number=self.rng.choice(list(client.mappings)))

    def alloc(self) -> None:
        if client := self.some(Kind.EVENTS):
            assert self.call(client, "alloc_unbound", domid=self.rng.choice(DOMIDS))

    def bind(self) -> None:
        near, far = self.some(Kind.EVENTS), self.some(Kind.EVENTS)
        if near and far and far.ports:
            port = self.rng.choice(list(far.ports.values()))
            allowed = port.peer is None and port.remote == near.domain.domid
            answer = self.call(near, "bind_interdomain", domid=far.domain.domid, port=port.number)
            assert bool(answer) == allowed

    def unbind(self) -> None:
        client = self.some(Kind.EVENTS)
        if client and client.ports:
            assert self.call(client, "unbind", port=self.rng.choice(list(client.ports)))

    def check(self) -> None:
        """A region is held by just its share and its mappings, no frame by two regions; a reference
        is gone when neither is left; both ends of a channel agree.
        """
        clients = self.hypervisor.clients
        held = [share.region for client in clients for share in client.shares.values()]
        held += [
            region
            for client in clients
            for mapping in client.mappings.values()
            for region in mapping.regions
        ]
        users = Counter(id(region) for region in held)
        regions = {id(region): region for region in held}
        assert all(regions[key].users == count for key, count in users.items())
        frames = [(region.fd, frame) for region in regions.values() for frame in region.frames()]
        assert len(set(frames)) == len(frames)
        for domid in self.hypervisor.domids():
            used = {
                gref
                for client in clients
                for share in client.shares.values()
                if client.domain.domid == domid
                for gref in share.grefs
            }
            used |= {
                gref
                for mapping in self.mappings()
                if mapping.table is self.hypervisor.domain(domid).grants
                for gref in mapping.grefs
            }
            assert set(self.hypervisor.domain(domid).grants.granted()) == used
        for client in clients:
            for port in client.ports.values():
                assert port.channel.ends == 1 + (port.peer is not None)
                if port.peer is not None:
                    assert port.peer.peer is port
                    assert port.bells == tuple(reversed(port.peer.bells))
                    assert port.remote == port.peer.domid


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_calls_and_deaths_leaves_nothing(seed: int, tmp_path: Path) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    with selectors.DefaultSelector() as selector:
        toolstack = StoreToolstack(str(tmp_path), selector)
        hypervisor = Hypervisor(toolstack)
        walk = Walk(random.Random(seed), hypervisor)
        for _ in range(STEPS):
            walk.step()
            walk.check()
        # Not a walk on the spot: what matters has happened, and has been refused.
        for name in ("map", "map refused", "bind_interdomain", "bind_interdomain refused"):
            assert walk.done[name] > 2
        assert walk.done["map of a dying domain"]
        assert walk.done["create refused"]
        for client in list(hypervisor.clients):
            hypervisor.detach(client)
        assert hypervisor.leaks() == []
        for domid in hypervisor.domids():
            assert hypervisor.domain(domid).grants.room() == FRAMES
        hypervisor.close()
        toolstack.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors
