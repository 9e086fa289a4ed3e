"""Answers that may take long: what waits for a disk runs on another thread, the rest goes on.

An operation that has to wait is a generator.  It yields each call that may wait, and is resumed on
the session's thread when that call has returned, or has raised, which it sees as the exception of
its ``yield``.  So what touches the session, a tree or a limit needs no lock: only the calls that
are yielded run elsewhere, and they touch nothing but what was pinned for them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

from protocol.ninep.messages import Message

Step: TypeAlias = Callable[[], None]
"""A call that may wait, on any thread.  Raises ``OSError``."""

Steps: TypeAlias = Generator[Step, None, None]
"""Part of an operation, for ``yield from``."""

Deferred: TypeAlias = Generator[Step, None, Message]
"""What a handler returns in place of its reply; it ends by returning the reply, or raises."""

_Result = TypeVar("_Result")


def resume(steps: Generator[Step, None, _Result], error: Exception | None) -> Step:
    """The next call, after the last one raised ``error`` or ended well.

    Raises ``StopIteration`` with the result at the end, and what the operation raises.
    """
    return next(steps) if error is None else steps.throw(error)


def run_now(steps: Generator[Step, None, _Result], error: Exception | None = None) -> _Result:
    """Go on to the end, waiting on this thread; ``error`` as for ``resume``.

    Raises what the operation raises.
    """
    while True:
        try:
            step = resume(steps, error)
        except StopIteration as end:
            result: _Result = end.value
            return result
        error = None
        try:
            step()
        except Exception as raised:  # noqa: BLE001 -- the operation decides what it means
            error = raised
