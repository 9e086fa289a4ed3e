"""A run's results as people, the documentation and programs read them."""

from __future__ import annotations

import json

import pytest

from tools.linux_guest import report
from tools.linux_guest.errors import GuestError
from tools.linux_guest.mounts import By, Mount
from tools.linux_guest.session import Result, Verdict
from tools.linux_guest.workloads import WORKLOADS, chosen

DOTL = Mount(By.US, "9p2000.L", "none")
DOTU = Mount(By.QEMU, "9p2000.u", "loose")
RESULTS = [
    Result("fio", DOTL, Verdict.OK, 1.25, "fast\n"),
    Result("git", DOTL, Verdict.FAILED, 2.0, "first\nlast\n"),
    Result("fio", DOTU, Verdict.SKIPPED, 0.5, ""),
]


def test_a_row_per_program_and_a_column_per_mount() -> None:
    assert report.text(RESULTS).splitlines() == [
        "program  xen-fileproxy .L cache=none  qemu .u cache=loose",
        "fio      ok 1.2 s                     skipped",
        "git      FAILED 2.0 s                 -",
    ]
    assert report.markdown(RESULTS).splitlines()[2] == "| fio | ok 1.2 s | skipped |"


def test_a_failure_shows_what_was_said() -> None:
    assert report.line(RESULTS[0]).endswith("fast")
    assert report.line(RESULTS[1]).endswith("last\n      | first\n      | last")


def test_a_program_reads_everything() -> None:
    document = json.loads(report.document(RESULTS, "6.1"))
    assert document["kernel"] == "6.1"
    assert document["results"][1]["output"] == "first\nlast\n"


def test_workloads_are_chosen_by_name() -> None:
    assert chosen([]) == list(WORKLOADS)
    assert [workload.name for workload in chosen(["git", "fio"])] == ["fio", "git"]
    assert all(workload.name.startswith("stress-") for workload in chosen(["stress"]))
    with pytest.raises(GuestError, match="no workload bonnie"):
        chosen(["bonnie"])
