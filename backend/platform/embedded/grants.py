"""The hypervisor's side of grants: a table per domain, regions of pages, and who maps them.

- ``share`` allocates a ``Region``: pages with one grant each.
- A grant ends when its sharer has let go *and* nobody maps it: Linux cannot take back an entry that
  is in use (``gnttab_end_foreign_access``, which looks again each second), and Xen itself maps one
  that is mapped already without a look at the domain's table, be the domain alive or not
  (``map_grant_ref`` in ``xen/common/grant_table.c``).  So what is mapped can be mapped once more.
- A region's pages stay until its share has ended *and* nobody maps them; only then are its
  frames zeroed and handed out again.  So a mapping outlives the granting domain.
- ``map`` is all or nothing, and gives one error for every reason, as Xen's users see it.

Source: ``xen/include/public/grant_table.h``.
"""

from __future__ import annotations

import errno
import random
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.platform.embedded.memory import Memory, Pool
from backend.platform.embedded.wire import merge_runs, run_of, run_word
from protocol.xenpv.ids import Gref

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from protocol.xenpv.ids import Domid

RESERVED_GRANTS: Final = 8
"""The first references belong to the toolstack (GNTTAB_NR_RESERVED_ENTRIES)."""

GRANTS: Final = 32_768 - RESERVED_GRANTS
"""A domain's grants: what Xen's default of 64 frames of version 1 entries holds."""


def _order() -> tuple[Gref, ...]:
    """Grant references in the order they are handed out: shuffled, so never consecutive."""
    order = [Gref(number) for number in range(RESERVED_GRANTS, RESERVED_GRANTS + GRANTS)]
    random.Random(41).shuffle(order)  # noqa: S311 -- scattered and repeatable, not secret
    return tuple(order)


_GREFS: Final = _order()


class Region:
    """The pages of one ``share`` call; ``users`` are the share itself and each mapping."""

    __slots__ = ("_cells", "_memory", "count", "domid", "users")

    def __init__(self, domid: Domid, memory: Memory, count: int) -> None:
        self._cells = memory.allocate(count)
        self._memory = memory
        self.domid: Final = domid
        self.count: Final = count
        self.users = 1

    @property
    def fd(self) -> int:
        """The memory file that the pages lie in."""
        return self._memory.fd

    def runs(self) -> list[int]:
        """The pages as run words, in their order; of the last cell only what was asked for."""
        runs = list(self._cells)
        start, length = run_of(runs[-1])
        beyond = sum(run_of(cell)[1] for cell in runs) - self.count
        runs[-1] = run_word(start, length - beyond)
        return runs

    def frames(self) -> Iterator[int]:
        """The frame of each page, in order."""
        for run in self.runs():
            start, length = run_of(run)
            yield from range(start, start + length)

    def hold(self) -> None:
        """One more user."""
        self.users += 1

    def let_go(self) -> None:
        """One user less; the last one gives the pages back."""
        self.users -= 1
        if self.users == 0:
            self._memory.free(self._cells)


class Grant:
    """One entry of a grant table: who may map which page, and how often it is mapped."""

    __slots__ = ("ended", "frame", "permitted", "pins", "region")

    def __init__(self, permitted: Domid, region: Region, frame: int) -> None:
        self.permitted: Final = permitted
        self.region: Final = region
        self.frame: Final = frame
        self.pins = 0
        self.ended = False


class Share(NamedTuple):
    """What one ``share`` call holds, until it ends."""

    permitted: Domid
    region: Region
    grefs: tuple[Gref, ...]


class Mapping(NamedTuple):
    """What one ``map`` call holds, until it is unmapped."""

    table: GrantTable
    grefs: tuple[Gref, ...]
    regions: tuple[Region, ...]

    def let_go(self) -> None:
        """Unmapped."""
        self.table.unpin(self.grefs)
        for region in self.regions:
            region.let_go()


class GrantTable:
    """What a domain has granted to others."""

    def __init__(
        self, domid: Domid, memory: Memory | None = None, grefs: Sequence[Gref] = _GREFS
    ) -> None:
        self._domid = domid
        self._memory = memory or Memory(domid)
        self._free: Pool[Gref] = Pool(grefs, "grants")
        self._grants: dict[Gref, Grant] = {}

    def share(self, permitted: Domid, count: int) -> Share:
        """Grant ``count`` new pages to ``permitted``.  Raises ``OSError`` (EINVAL, ENOSPC)."""
        if count <= 0:
            raise OSError(errno.EINVAL, f"cannot share {count} pages")
        if count > len(self._free):
            raise OSError(
                errno.ENOSPC,
                f"domain {self._domid} has {len(self._free)} grants left, not {count}",
            )
        region = Region(self._domid, self._memory, count)
        grefs = tuple(self._free.take() for _ in range(count))
        for gref, frame in zip(grefs, region.frames(), strict=True):
            self._grants[gref] = Grant(permitted, region, frame)
        return Share(permitted, region, grefs)

    def end(self, share: Share) -> None:
        """The sharer lets go: what nobody maps is granted no more, the rest when it is unmapped."""
        for gref in share.grefs:
            self._grants[gref].ended = True
            self._forget_if_unused(gref)
        share.region.let_go()

    def map(self, mapper: Domid, grefs: Sequence[int]) -> tuple[Mapping, list[int], int]:
        """Hold the pages of ``grefs`` for ``mapper``: the mapping, its runs, the memory file.

        Raises ``OSError`` (EINVAL) if any of them was not granted to ``mapper``.
        """
        grants: list[Grant] = []
        for gref in grefs:
            grant = self._grants.get(Gref(gref))
            if grant is None or grant.permitted != mapper:
                raise OSError(
                    errno.EINVAL,
                    f"domain {self._domid} has not granted reference {gref} to domain {mapper}",
                )
            grants.append(grant)
        regions = tuple({id(grant.region): grant.region for grant in grants}.values())
        for region in regions:
            region.hold()
        for grant in grants:
            grant.pins += 1
        runs = list(merge_runs(grant.frame for grant in grants))
        return Mapping(self, tuple(map(Gref, grefs)), regions), runs, self._memory.fd

    def unpin(self, grefs: Sequence[Gref]) -> None:
        """These are mapped once less."""
        for gref in grefs:
            self._grants[gref].pins -= 1
            self._forget_if_unused(gref)

    def _forget_if_unused(self, gref: Gref) -> None:
        grant = self._grants[gref]
        if grant.ended and not grant.pins:
            del self._grants[gref]
            self._free.put_back(gref)

    def granted(self) -> Collection[Gref]:
        """The references that are granted, or still mapped."""
        return self._grants.keys()

    def room(self) -> int:
        """How many frames are left to share."""
        return self._memory.room()

    def close(self) -> None:
        """The domain is gone, all its shares have ended; what is mapped stays."""
        self._memory.let_go()
