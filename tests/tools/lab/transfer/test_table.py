"""The table of ``make bench-state``."""

from __future__ import annotations

from tools.lab.transfer.__main__ import table


def test_what_the_commands_take_is_no_part_of_either_way() -> None:
    times = {
        "nowhere 100": [1.0, 1.0, 1.1],
        "console 100": [9.0, 5.0, 4.0],
        "share 100": [1.5, 1.5, 1.6],
    }
    assert table(times).splitlines()[1].split() == ["100", "1.000", "4.000", "0.500", "8.0"]


def test_a_time_that_is_lost_in_noise_gives_a_bound() -> None:
    times = {
        "nowhere 100": [1.0, 1.0, 1.4],
        "console 100": [5.0, 5.0, 5.0],
        "share 100": [1.1, 0.9, 1.1],
    }
    assert table(times).splitlines()[1].split()[-1] == ">10"


def test_where_both_are_lost_in_noise_nothing_is_said() -> None:
    times = {"nowhere 8": [1.0, 1.0, 1.4], "console 8": [1.1] * 3, "share 8": [1.2] * 3}
    assert table(times).splitlines()[1].split()[-1] == "-"
