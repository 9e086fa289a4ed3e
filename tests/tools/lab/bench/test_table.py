from __future__ import annotations

from typing import TYPE_CHECKING

from tools.lab.bench.table import costs_table, jobs_table, rows

if TYPE_CHECKING:
    from tools.lab.bench.results import Comparison, Results, Turn


def turn(job: str, peer: str, seconds: float, dom0: float) -> Turn:
    return {"job": job, "peer": peer, "seconds": seconds, "operations": 250, "dom0": dom0}


TURNS = [
    turn("create", "ours", 1.0, 0.5),
    turn("create", "theirs", 2.0, 1.0),
    turn("create", "theirs", 9.0, 2.0),
    turn("create", "ours", 3.0, 0.5),
    turn("create", "ours", 2.0, 0.5),
    turn("create", "theirs", 5.0, 1.5),
    turn("read-4k", "ours", 0.5, 0.25),
    turn("read-4k", "theirs", 0.25, 0.1),
]


def comparison(lost: dict[str, str]) -> Comparison:
    return {"title": "by mount", "turns": TURNS, "lost": lost, "notes": ["theirs ended"]}


def test_a_row_has_medians_and_the_spread_of_the_ratios() -> None:
    read, create = rows(comparison({}))
    assert (read.title, create.title) == ("4 KiB sequential read", "create a file")
    assert (create.ours, create.theirs) == (8.0, 20.0)
    assert create.ratio == (2.5, 2.0, 3.0)
    assert (create.our_dom0, create.their_dom0) == (2.0, 6.0)
    assert create.dom0_ratio == (3.0, 2.0, 4.0)
    assert read.ratio == (0.5, 0.5, 0.5)


def test_what_the_other_did_not_do_to_the_end_has_no_figures_but_a_word() -> None:
    read, create, unlink = rows(comparison({"create": "died", "unlink": "failed"}))
    assert read.ratio == (0.5, 0.5, 0.5)
    assert (create.ours, create.theirs, create.ratio) == (8.0, None, None)
    assert (unlink.ours, unlink.lost) == (None, "failed")
    text = jobs_table(comparison({"create": "died", "unlink": "failed"}), "ours", "xen-9pfsd")
    assert text.splitlines()[3].split()[3:] == ["8.00", "died", "-", "2.00", "died", "-"]
    assert text.splitlines()[-1] == "theirs ended"


def test_the_tables_name_both_backends_and_say_what_was_compared() -> None:
    text = jobs_table(comparison({}), "ours", "QEMU").splitlines()
    assert text[0] == "by mount"
    assert "QEMU" in text[1]
    assert "2.50 (2.00 to 3.00)" in text[3]
    results: Results = {
        "comparisons": [],
        "costs": {
            "ours": {
                "to_offer": [0.1, 0.3, 0.2],
                "to_connect": [0.5],
                "pss": 2048,
                "rss": 4096,
                "shared": 8192,
                "next_device": 1024,
            },
            "theirs": {
                "to_offer": [4.0],
                "to_connect": [0.1],
                "pss": 20480,
                "rss": 40960,
                "shared": 0,
                "next_device": None,
            },
        },
    }
    costs = costs_table(results, "ours", "QEMU").splitlines()
    assert costs[1].split()[-2:] == ["2.00", "20.00"]
    assert costs[3].split()[-2:] == ["1.00", "-"]
    assert costs[4].split()[-2:] == ["8.00", "0.00"]
    assert costs[5].split()[-2:] == ["0.20", "4.00"]
