import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend_stub.numbers import NumberPool


def test_the_oldest_free_number_is_taken_first() -> None:
    pool = NumberPool("tags", 4)
    assert [pool.take() for _ in range(3)] == [0, 1, 2]
    pool.give_back(1)
    pool.give_back(0)
    assert [pool.take(), pool.take(), pool.take()] == [1, 0, 3]


def test_the_limit_is_exact_and_recoverable() -> None:
    pool = NumberPool("fids", 2)
    pool.take()
    assert not pool.exhausted
    last = pool.take()
    with pytest.raises(OSError, match="all 2 fids are in use") as caught:
        pool.take()
    assert caught.value.errno == errno.EMFILE
    assert pool.in_use == 2
    pool.give_back(last)
    assert pool.take() == last


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 8))
def test_no_number_is_out_twice(steps: list[bool], limit: int) -> None:
    pool = NumberPool("fids", limit)
    out: list[int] = []
    for take in steps:
        if take and not pool.exhausted:
            number = pool.take()
            assert number not in out
            assert 0 <= number < limit
            out.append(number)
        elif not take and out:
            pool.give_back(out.pop(0))
        assert pool.in_use == len(out)
