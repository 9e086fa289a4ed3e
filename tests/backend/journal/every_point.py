"""A conversation held again and again, each time with a worker that ends at another step of it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from protocol.ninep import messages as m
from protocol.ninep.directory import decode_stats
from protocol.ninep.ids import NOFID, Fid, Tag
from tests.backend.journal.conftest import served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from backend.share import Share
    from tests.backend.journal.conftest import Served

    Said = tuple[m.Message, bytes]
    """A request, and the data beside it."""


LISTING: Final = Fid(99)
"""A fid that reads a directory in 9P2000.u: of its entries the names are compared."""


def mount() -> Iterator[Said]:
    """How a conversation in 9P2000.L begins; the root is fid 0."""
    yield m.Tversion(Tag(0xFFFF), 8192, b"9P2000.L"), b""
    yield m.Tattach(Tag(1), Fid(0), NOFID, b"", b"", 0), b""


def held(guest: Served, conversation: Iterable[Said]) -> list[Any]:
    """All answers, but for numbers and times that no two runs have in common."""
    return [shown(request, *guest.ask(request, data)) for request, data in conversation]


def held_at_once(guest: Served, bursts: Iterable[Iterable[Said]]) -> list[Any]:
    """As ``held``, of requests of which many lie in the ring before the guest says so."""
    answers: list[Any] = []
    for burst in map(list, bursts):
        for request, data in burst:
            guest.put(request, 0, data)
        guest.events.notify(guest.rings[0].port)
        answers += [shown(request, *guest.reply()) for request, _ in burst]
    return answers


def shown(request: m.Message, reply: m.Message, beside: bytes) -> Any:
    """What two runs have in common of an answer."""
    if isinstance(reply, m.Rgetattr):
        return reply.mode, reply.nlink, reply.size
    if isinstance(reply, m.Rreaddir):
        return len(beside)
    if isinstance(reply, m.Rread):
        listed = getattr(request, "fid", None) == LISTING
        read = [stat.name for stat in decode_stats(beside)] if listed else beside
        return reply.count, read
    fields = reply._asdict()
    fields.pop("qid", None)
    fields["wqids"] = len(fields.get("wqids", ()))
    return type(reply).__name__, fields


def compare(
    export: Path,
    walls: str,
    conversation: Callable[[], Iterable[Any]],
    share: Share | None = None,
    *,
    keep: bool = False,
    hold: Callable[[Served, Iterable[Any]], list[Any]] = held,
) -> None:
    """The answers and the tree are as if no worker had ended, whichever step it ends at.

    ``share`` is of what is in ``export``; ``None``: it is that directory, and nothing else.  What
    is there is removed before each time, unless it is to be kept.  ``hold`` is ``held_at_once``
    for a conversation of bursts.
    """
    with served(share or export, walls) as guest:
        answers, tree = hold(guest, conversation()), found(export)
        steps = guest.words[0]
        assert steps >= (5 if hold is held else 1) * len(answers)
        for step in range(1, steps + 1):
            if not keep:
                clear(export)
            guest.words[0], guest.words[1] = 0, step
            assert hold(guest, conversation()) == answers, step
            assert guest.words[1] == 0, "no worker ended"
            assert found(export) == tree, step


def compare_short_lives(
    export: Path,
    walls: str,
    conversation: Callable[[], Iterable[Any]],
    seed: int,
    share: Share | None = None,
    *,
    hold: Callable[[Served, Iterable[Any]], list[Any]] = held,
) -> None:
    """The same, with workers each of which ends after a few steps."""
    with served(share or export, walls) as guest:
        answers, tree = hold(guest, conversation()), found(export)
        clear(export)
        guest.words[0], guest.words[1], guest.words[3] = 0, 40, seed
        assert hold(guest, conversation()) == answers
        assert guest.words[1] > 40, "no worker ended"
        guest.words[1] = guest.words[3] = 0
        assert found(export) == tree


def found(top: Path) -> dict[str, Any]:
    """What is there."""
    tree = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content = path.readlink() if path.is_symlink() else b""
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
        named = str(path.relative_to(top))
        tree[named] = (status.st_mode, status.st_nlink, content, attributes(path))
    return tree


def attributes(path: Path) -> dict[str, bytes]:
    """What users have set, where the file system keeps such."""
    if not path.is_file() or path.is_symlink():
        return {}
    with suppress(OSError):
        names = [name for name in os.listxattr(path) if name.startswith("user.")]
        return {name: os.getxattr(path, name) for name in names}
    return {}


def clear(top: Path) -> None:
    for path in top.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
