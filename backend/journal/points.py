"""Where a test may end a worker: around each step of a request's end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend.journal.carrying import no_point
from backend.journal.layout import COMMITTED_WORD

if TYPE_CHECKING:
    from backend.channel.client import Client
    from backend.fileserver.grouped_lane import GroupedLane
    from backend.journal.carrying import Point
    from backend.journal.writer import Writer


class _Marked:
    """A half of a lane that says when it has gone on, and when it has shown that."""

    def __init__(self, half: Any, name: str, point: Point) -> None:  # noqa: ANN401 -- source or sink
        self._half = half
        self._name = name
        self._point = point

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever it has
        return getattr(self._half, name)

    def move(self, length: int) -> None:
        """As the half; then the point, where what is next lies in place."""
        self._half.move(length)
        if self._name == "published":
            self._point("laid")

    def publish(self) -> None:
        """As the half; then the point."""
        self._half.publish()
        self._point(self._name)


class _MarkedWords:
    """A journal's words, where a commit is about to become true."""

    def __init__(self, words: memoryview, point: Point) -> None:
        self._words = words
        self._point = point

    def __setitem__(self, index: int, value: int) -> None:
        """As the words; first the point."""
        if index == COMMITTED_WORD:
            self._point("written")
        self._words[index] = value


def mark_commits(writer: Writer, point: Point) -> None:
    """Have ``point`` called when all of a commit is written but its number."""
    if point is not no_point:
        take = writer.streams.take_from

        def marked(client: Client) -> None:
            point("true")
            take(client)
            point("taken")

        writer.streams.take_from = marked  # type: ignore[method-assign]  # a test's wish
        writer.words = _MarkedWords(writer.words, point)  # type: ignore[assignment]  # it is stored to


def mark(lane: GroupedLane, point: Point) -> None:
    """Have ``point`` called after each reply, around a commit, and after each of the two indices.

    Nothing is changed where nobody wants that, so it costs a worker nothing.
    """
    commit = lane.commit
    if point is no_point:
        return

    def marked(lane: GroupedLane, consumed: int, produced: int) -> None:
        point("answered")
        commit(lane, consumed, produced)
        point("committed")

    lane.commit = marked
    replies: Any = _Marked(lane.replies, "published", point)
    requests: Any = _Marked(lane.requests, "consumed", point)
    lane.replies, lane.requests = replies, requests
