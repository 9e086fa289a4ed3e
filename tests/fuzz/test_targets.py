"""Every fuzz target on its seeds, on what hypothesis thinks of, and on its own ability to fail."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.target import SEEDS, everything, load

NAMES = [target.name for target in everything()]
every_target = pytest.mark.parametrize("name", NAMES)


@every_target
def test_the_invariant_holds_for_every_seed(name: str) -> None:
    target = load(name)
    seeds = target.seeds()
    assert seeds, f"no seeds for {name}"
    for seed in seeds:
        target.run(seed.read_bytes())


@every_target
@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=600))
def test_the_invariant_holds_for_what_hypothesis_thinks_of(name: str, data: bytes) -> None:
    load(name).run(data)


def test_seeds_belong_to_targets() -> None:
    assert {path.name for path in SEEDS.iterdir()} == set(NAMES)
