from __future__ import annotations

import threading

from backend.platform.barrier import barrier_for


def test_x86_needs_none_and_others_get_one_that_any_thread_may_call() -> None:
    assert barrier_for("x86_64") is None
    barrier = barrier_for("aarch64")
    assert barrier is not None
    for _ in range(2):
        barrier()
    thread = threading.Thread(target=barrier)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
