from __future__ import annotations

from typing import TYPE_CHECKING

from tools.lab.bench.table import costs_table, jobs_table, rows

if TYPE_CHECKING:
    from tools.lab.bench.dom0 import Results, Turn


def turn(job: str, peer: str, seconds: float, cpu: float) -> Turn:
    return {
        "job": job,
        "peer": peer,
        "seconds": seconds,
        "operations": 250,
        "cpu": cpu,
        "dom0": cpu,
    }


TURNS = [
    turn("create", "ours", 1.0, 0.5),
    turn("create", "theirs", 2.0, 1.0),
    turn("create", "theirs", 9.0, 2.0),
    turn("create", "ours", 3.0, 0.5),
    turn("create", "ours", 2.0, 0.5),
    turn("create", "theirs", 5.0, 1.5),
    turn("read-4k", "ours", 0.5, 0.0),
    turn("read-4k", "theirs", 0.25, 0.1),
]


def test_a_row_has_medians_the_spread_of_the_ratios_and_cpu_for_one_operation() -> None:
    read, create = rows(TURNS)
    assert (read.title, create.title) == ("4 KiB sequential read", "create a file")
    assert (create.ours, create.theirs) == (8.0, 20.0)
    assert (create.ratio, create.lowest, create.highest) == (2.5, 2.0, 3.0)
    assert (create.our_cpu, create.their_cpu) == (2.0, 6.0)
    assert read.ratio == 0.5
    assert (read.our_cpu, read.their_cpu) == (None, None)


def test_the_tables_name_both_backends_and_do_without_what_was_too_short_to_measure() -> None:
    text = jobs_table(rows(TURNS), "ours", "QEMU").splitlines()
    assert "QEMU" in text[0]
    assert "2.50 (2.00 to 3.00)" in text[2]
    assert text[1].split()[-2:] == ["-", "-"]
    results: Results = {
        "turns": TURNS,
        "costs": {
            "ours": {"to_offer": [0.1, 0.3, 0.2], "to_connect": [0.5], "pss": 2048, "rss": 4096},
            "theirs": {"to_offer": [4.0], "to_connect": [0.1], "pss": 20480, "rss": 40960},
        },
        "next_device": 1024,
        "shared": 8192,
    }
    costs = costs_table(results, "ours", "QEMU").splitlines()
    assert costs[1].split()[-2:] == ["2.00", "20.00"]
    assert costs[3].split()[-2:] == ["1.00", "-"]
    assert costs[5].split()[-2:] == ["0.20", "4.00"]
