from __future__ import annotations

import mmap
import os

from tools.lab.bench.memory import memory


def test_memory_adds_up_what_processes_have() -> None:
    pid = os.getpid()
    before = memory([pid])
    with mmap.mmap(-1, 8 << 20) as pages:
        for at in range(0, len(pages), 4096):
            pages[at] = 1
        after = memory([pid])
    assert after.pss - before.pss >= 8000
    assert after.rss >= after.pss > 0
    both = memory([pid, pid])
    assert both.rss > after.rss
