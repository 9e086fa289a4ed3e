from __future__ import annotations

import errno
import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.platform.embedded.grants import GrantTable
from backend.platform.embedded.memory import FRAMES, LAYOUT, Memory, Pool
from backend.platform.embedded.wire import merge_runs, run_of, run_word
from protocol.xenpv.ids import DOM0, Domid, Gref
from protocol.xenpv.ports import PAGE_SIZE

SMALL = [run_word(frame, 2) for frame in (6, 0, 4, 2)]
"""Eight frames in four cells."""


def test_every_frame_lies_in_exactly_one_cell() -> None:
    frames = [frame for cell in LAYOUT for frame in range(run_of(cell)[0], sum(run_of(cell)))]
    assert sorted(frames) == list(range(FRAMES))


def test_pages_of_one_share_are_scattered_but_cost_few_mappings() -> None:
    table = GrantTable(Domid(5))
    share = table.share(DOM0, 512)
    frames = list(share.region.frames())
    assert len(set(frames)) == 512
    neighbours = sum(after == before + 1 for before, after in pairwise(frames))
    assert 512 // 2 < neighbours < 512 * 3 // 4
    assert max(frames) - min(frames) > FRAMES // 2
    assert frames != sorted(frames)
    steps = {after - before for before, after in pairwise(share.grefs)}
    assert len(steps) > 400
    table.end(share)
    table.close()


@given(st.lists(st.integers(0, FRAMES - 1), max_size=40))
def test_merged_runs_give_the_same_frames_in_the_same_order(frames: list[int]) -> None:
    runs = [run_of(word) for word in merge_runs(frames)]
    assert [start + step for start, length in runs for step in range(length)] == frames


def test_a_pool_reuses_as_late_as_possible_and_ends_with_enospc() -> None:
    pool = Pool([1, 2, 3], "numbers")
    assert [pool.take(), pool.take()] == [1, 2]
    pool.put_back(2)
    pool.put_back(1)
    assert len(pool) == 3
    assert [pool.take(), pool.take(), pool.take()] == [3, 2, 1]
    with pytest.raises(OSError, match="the domain has no numbers left") as error:
        pool.take()
    assert error.value.errno == errno.ENOSPC


def test_freed_pages_are_zero_when_they_come_again() -> None:
    memory = Memory(Domid(5), SMALL)
    cells = memory.allocate(8)
    os.pwrite(memory.fd, b"\xff" * 8 * PAGE_SIZE, 0)
    memory.free(cells)
    assert sorted(memory.allocate(8)) == sorted(cells)
    assert os.pread(memory.fd, 8 * PAGE_SIZE, 0) == bytes(8 * PAGE_SIZE)
    memory.free(cells)
    memory.let_go()


def test_an_allocation_that_does_not_fit_takes_nothing() -> None:
    memory = Memory(Domid(5), SMALL)
    with pytest.raises(OSError, match="no memory left"):
        memory.allocate(9)
    memory.free(memory.allocate(8))
    memory.let_go()


def test_the_memory_file_cannot_be_cut_short() -> None:
    memory = Memory(Domid(5), SMALL)
    with pytest.raises(PermissionError):
        os.ftruncate(memory.fd, PAGE_SIZE)
    memory.let_go()


def test_frames_come_back_only_after_the_grant_and_every_mapping_are_gone() -> None:
    memory = Memory(Domid(5), SMALL)
    table = GrantTable(Domid(5), memory, [Gref(number) for number in range(30, 10, -1)])
    share = table.share(DOM0, 5)
    first, _, _ = table.map(DOM0, share.grefs)
    second, _, _ = table.map(DOM0, share.grefs[:1])
    table.end(share)
    assert memory.room() == 2
    first.let_go()
    assert memory.room() == 2
    second.let_go()
    assert memory.room() == 8
    table.close()


def test_memory_lives_until_the_last_mapping_of_a_domain_that_is_gone() -> None:
    memory = Memory(Domid(5), SMALL)
    table = GrantTable(Domid(5), memory, [Gref(9), Gref(11)])
    share = table.share(DOM0, 2)
    mapping, _, fd = table.map(DOM0, share.grefs)
    table.end(share)
    table.close()
    assert os.fstat(fd).st_size == FRAMES * PAGE_SIZE
    mapping.let_go()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_references_come_back_one_by_one_as_they_are_unmapped() -> None:
    table = GrantTable(Domid(5), Memory(Domid(5)), [Gref(9), Gref(11), Gref(8)])
    share = table.share(DOM0, 3)
    once, _, _ = table.map(DOM0, [9, 11])
    twice, _, _ = table.map(DOM0, [11, 11])
    table.end(share)
    left = []
    for mapping in (once, twice):
        with pytest.raises(OSError, match=r"grants left, not 4") as error:
            table.share(DOM0, 4)
        left.append(str(error.value).split(" has ")[1].split()[0])
        mapping.let_go()
    assert left == ["1", "2"]
    assert not table.granted()
    again = table.share(DOM0, 3)
    assert again.grefs == (8, 9, 11)
    table.end(again)
    table.close()


def test_a_grant_table_has_an_end() -> None:
    table = GrantTable(Domid(5), Memory(Domid(5)), [Gref(9), Gref(11), Gref(8)])
    share = table.share(DOM0, 2)
    with pytest.raises(OSError, match="has 1 grants left, not 2") as error:
        table.share(DOM0, 2)
    assert error.value.errno == errno.ENOSPC
    table.end(share)
    table.end(table.share(DOM0, 3))
    table.close()
