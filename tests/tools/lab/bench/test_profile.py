from __future__ import annotations

from tools.lab.bench.jobs import JOBS
from tools.lab.bench.profile import line


def test_a_line_has_instructions_for_one_operation_and_user_space_by_its_part_of_the_ticks() -> (
    None
):
    # 250 operations a turn: seconds, guest, Dom0, backend; ticks, of them in user space; sleeps.
    turns = [(0.25, 0.1, 0.2, 0.05, 0.04, 0.02, 250.0), (0.25, 0.1, 0.2, 0.05, 0.0, 0.0, 750.0)]
    shown = line(JOBS["read-4k"], "ours", turns).split()[4:]
    assert shown == ["ours", "500,000", "200,000", "400,000", "100,000", "50,000", "2.0"]
    assert line(JOBS["read-4k"], "ours", turns[1:]).split()[-2:] == ["0", "3.0"]
