"""What every platform's grants must do."""

from __future__ import annotations

import errno
import random
from typing import TYPE_CHECKING

import pytest

from protocol.xenpv.ids import Domid
from protocol.xenpv.ports import PAGE_SIZE
from tests.contract.refused import refused
from tests.lab.service import until

if TYPE_CHECKING:
    from tests.contract.conftest import Agents, Bed, Here
    from tests.contract.peer import RemotePeer as Peer


def page(number: int) -> bytes:
    """A page's worth of bytes that no other number has."""
    return random.Random(number).randbytes(PAGE_SIZE)


def test_new_pages_are_zero_writable_and_contiguous(guest: Peer, here: Here) -> None:
    offer = guest.share(domid=0, count=3)
    pages = here.map(guest.domid, offer["grefs"])
    assert bytes(pages.memory) == bytes(3 * PAGE_SIZE)
    assert pages.memory.format == "B"
    assert not pages.memory.readonly
    pages.memory[PAGE_SIZE - 2 : PAGE_SIZE + 2] = b"seam"
    assert guest.read(number=offer["range"], at=PAGE_SIZE - 2, length=4) == b"seam".hex()


def test_bytes_written_by_either_process_are_seen_by_the_other(guest: Peer, here: Here) -> None:
    offer = guest.share(domid=0, count=8)
    pages = here.map(guest.domid, offer["grefs"])
    guest.write(number=offer["range"], at=5 * PAGE_SIZE + 7, data=b"from the guest".hex())
    assert bytes(pages.memory[5 * PAGE_SIZE + 7 :][:14]) == b"from the guest"
    pages.memory[100:109] = b"from dom0"
    assert guest.read(number=offer["range"], at=100, length=9) == b"from dom0".hex()


def test_pages_appear_in_the_order_of_the_references(guest: Peer, here: Here) -> None:
    offer = guest.share(domid=0, count=64)
    order = list(range(64))
    random.Random(3).shuffle(order)
    for number in range(64):
        guest.write(number=offer["range"], at=number * PAGE_SIZE, data=page(number)[:64].hex())
    pages = here.map(guest.domid, [offer["grefs"][number] for number in order])
    for place, number in enumerate(order):
        at = place * PAGE_SIZE
        assert bytes(pages.memory[at : at + 64]) == page(number)[:64]


def test_references_of_one_share_are_distinct(guest: Peer) -> None:
    grefs = guest.share(domid=0, count=100)["grefs"]
    assert len(set(grefs)) == 100
    assert all(0 < gref < 1 << 32 for gref in grefs)


def test_one_range_may_join_pages_of_several_shares(guest: Peer, here: Here) -> None:
    first, second = guest.share(domid=0, count=2), guest.share(domid=0, count=2)
    mixed = [second["grefs"][1], first["grefs"][0], second["grefs"][0]]
    pages = here.map(guest.domid, mixed)
    pages.memory[0:1] = b"a"
    pages.memory[PAGE_SIZE : PAGE_SIZE + 1] = b"b"
    pages.memory[2 * PAGE_SIZE : 2 * PAGE_SIZE + 1] = b"c"
    assert guest.read(number=second["range"], at=PAGE_SIZE, length=1) == b"a".hex()
    assert guest.read(number=first["range"], at=0, length=1) == b"b".hex()
    assert guest.read(number=second["range"], at=0, length=1) == b"c".hex()


def test_the_same_pages_may_be_mapped_twice(guest: Peer, here: Here) -> None:
    offer = guest.share(domid=0, count=1)
    first = here.map(guest.domid, offer["grefs"])
    second = here.map(guest.domid, offer["grefs"])
    first.memory[0:3] = b"one"
    assert bytes(second.memory[0:3]) == b"one"


def test_a_whole_ring_of_order_nine_can_be_mapped(guest: Peer, here: Here) -> None:
    offer = guest.share(domid=0, count=512)
    pages = here.map(guest.domid, offer["grefs"])
    assert len(pages.memory) == 512 * PAGE_SIZE
    for number in (0, 1, 255, 256, 511):
        pages.memory[number * PAGE_SIZE : (number + 1) * PAGE_SIZE] = page(number)
    for number in (0, 1, 255, 256, 511):
        at = number * PAGE_SIZE
        assert guest.read(number=offer["range"], at=at, length=PAGE_SIZE) == page(number).hex()


def test_dom0_can_grant_to_a_guest_too(guest: Peer, here: Here) -> None:
    shared = here.sharer.share(Domid(guest.domid), 2)
    number = guest.map(domid=0, grefs=list(shared.grefs))
    guest.write(number=number, at=PAGE_SIZE, data=b"hello".hex())
    assert bytes(shared.memory[PAGE_SIZE : PAGE_SIZE + 5]) == b"hello"
    guest.close_range(number=number)
    shared.close()


# Not 0 and 1: with these a guest of libxl grants its console and XenStore pages to Dom0.
@pytest.mark.parametrize("grefs", [[], [0xFFFF], [0xFFFF_FFFF], [5, 6, 7]])
def test_references_that_were_never_granted_are_refused(
    guest: Peer, here: Here, grefs: list[int]
) -> None:
    with refused(errno.EINVAL):
        here.map(guest.domid, grefs)


def test_one_bad_reference_refuses_the_whole_range(guest: Peer, here: Here) -> None:
    offer = guest.share(domid=0, count=3)
    with refused(errno.EINVAL):
        here.map(guest.domid, [*offer["grefs"], 0xFFFF_FFFF])
    assert here.map(guest.domid, offer["grefs"])


def test_what_is_granted_to_another_domain_is_refused(
    bed: Bed, guest: Peer, here: Here, agents: Agents
) -> None:
    offer = guest.share(domid=bed.other, count=2)
    with refused(errno.EINVAL):
        here.map(guest.domid, offer["grefs"])
    other = agents(bed.other)
    number = other.map(domid=guest.domid, grefs=offer["grefs"])
    other.write(number=number, at=0, data=b"ours".hex())
    assert guest.read(number=offer["range"], at=0, length=4) == b"ours".hex()


def test_a_reference_means_nothing_in_another_domain(bed: Bed, guest: Peer, here: Here) -> None:
    offer = guest.share(domid=0, count=1)
    with refused(errno.EINVAL):
        here.map(bed.other, offer["grefs"])


def test_a_domain_that_does_not_exist_has_granted_nothing(here: Here) -> None:
    with refused(errno.EINVAL):
        here.map(0x7FEF, [9])


def test_a_grant_that_nobody_maps_ends_with_its_share(guest: Peer, here: Here) -> None:
    offer = guest.share(domid=0, count=4)
    guest.close_range(number=offer["range"])
    with refused(errno.EINVAL):
        here.map(guest.domid, offer["grefs"])


def test_what_is_mapped_stays_granted_until_it_is_unmapped(guest: Peer, here: Here) -> None:
    """The sharer cannot take it back (Linux drivers/xen/grant-table.c,
    gnttab_end_foreign_access_ref: an entry that is read or written stays).
    """
    offer = guest.share(domid=0, count=4)
    mapped = here.map(guest.domid, offer["grefs"][:2])
    guest.write(number=offer["range"], at=0, data=b"still here".hex())
    guest.close_range(number=offer["range"])
    with refused(errno.EINVAL):
        here.map(guest.domid, offer["grefs"][2:])
    again = here.map(guest.domid, offer["grefs"][:2])
    mapped.memory[PAGE_SIZE : PAGE_SIZE + 4] = b"both"
    assert bytes(again.memory[0:10]) == b"still here"
    assert bytes(again.memory[PAGE_SIZE : PAGE_SIZE + 4]) == b"both"
    mapped.close()
    again.close()
    until(lambda: no_longer_granted(here, guest.domid, offer["grefs"][0]), 30, "still granted")


def no_longer_granted(here: Here, domid: int, gref: int) -> bool:
    """Whether it cannot be mapped; a Linux sharer looks each second for what it can take back."""
    try:
        here.map(domid, [gref]).close()
    except OSError as error:
        assert error.errno == errno.EINVAL  # noqa: PT017 -- any other is a failure
        return True
    return False


def test_pages_still_mapped_are_not_handed_out_again(guest: Peer, here: Here) -> None:
    offer = guest.share(domid=0, count=4)
    mapped = here.map(guest.domid, offer["grefs"])
    mapped.memory[:] = b"\x55" * len(mapped.memory)
    guest.close_range(number=offer["range"])
    again = guest.share(domid=0, count=64)
    guest.write(number=again["range"], at=0, data=(b"\xaa" * 64 * PAGE_SIZE).hex())
    assert bytes(mapped.memory) == b"\x55" * len(mapped.memory)


def test_a_mapping_survives_the_death_of_the_granting_process(
    bed: Bed, agents: Agents, here: Here
) -> None:
    guest = agents(bed.guest)
    offer = guest.share(domid=0, count=4)
    mapped = here.map(guest.domid, offer["grefs"])
    guest.write(number=offer["range"], at=3 * PAGE_SIZE, data=b"last words".hex())
    guest.kill()
    assert bytes(mapped.memory[3 * PAGE_SIZE :][:10]) == b"last words"
    mapped.memory[0:4] = b"safe"


def test_a_mapping_survives_the_end_of_the_granting_domain(
    bed: Bed, agents: Agents, here: Here
) -> None:
    guest = agents(bed.guest)
    offer = guest.share(domid=0, count=4)
    mapped = here.map(guest.domid, offer["grefs"][:2])
    guest.write(number=offer["range"], at=0, data=b"last words".hex())
    guest.kill()
    bed.destroy(bed.guest)
    assert bytes(mapped.memory[0:10]) == b"last words"
    mapped.memory[0:4] = b"safe"
    with refused(errno.EINVAL):
        here.map(bed.guest, offer["grefs"][2:])
    # The domain is dying as long as its pages are mapped, and what is mapped can be mapped once
    # more (Xen xen/common/grant_table.c, map_grant_ref: an entry with pins is not looked up).
    again = here.map(bed.guest, offer["grefs"][:2])
    assert bytes(again.memory[0:10]) == b"safe words"
    mapped.close()
    again.close()
    until(lambda: no_longer_granted(here, bed.guest, offer["grefs"][0]), 30, "still granted")


def test_a_range_outlives_the_handle_that_made_it(bed: Bed, guest: Peer) -> None:
    platform = bed.dom0()
    mapper = platform.grant_mapper()
    offer = guest.share(domid=0, count=1)
    mapped = mapper.map(bed.guest, offer["grefs"])
    mapper.close()
    mapped.memory[0:4] = b"safe"
    assert guest.read(number=offer["range"], at=0, length=4) == b"safe".hex()
    mapped.close()
    platform.close()


def test_a_killed_process_can_be_replaced_by_one_that_maps_the_same_pages(
    guest: Peer, agents: Agents
) -> None:
    offer = guest.share(domid=0, count=16)
    worker = agents()
    number = worker.map(domid=guest.domid, grefs=offer["grefs"])
    worker.write(number=number, at=9 * PAGE_SIZE, data=b"state".hex())
    worker.kill()
    heir = agents()
    number = heir.map(domid=guest.domid, grefs=offer["grefs"])
    assert heir.read(number=number, at=9 * PAGE_SIZE, length=5) == b"state".hex()


@pytest.mark.parametrize("count", [0, -1])
def test_sharing_no_pages_is_an_error(guest: Peer, count: int) -> None:
    with refused(errno.EINVAL):
        guest.share(domid=0, count=count)


def test_closing_twice_is_harmless(here: Here, guest: Peer) -> None:
    pages = here.map(guest.domid, guest.share(domid=0, count=1)["grefs"])
    pages.close()
    pages.close()
    shared = here.sharer.share(Domid(guest.domid), 1)
    shared.close()
    shared.close()
