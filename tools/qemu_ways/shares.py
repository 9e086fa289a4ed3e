"""Dom0's side: what a guest is shown, for either end, and what it left there."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tools.qemu_ways.chardevs import CHARDEVS, LOG, Chardev
from tools.qemu_ways.failures import FAILURES, SPARE, Failure, found
from tools.qemu_ways.qemu import WayError
from tools.qemu_ways.stand import CHANNEL
from tools.qemu_ways.states import OLDER, WAYS, Way

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

Entry: TypeAlias = "Way | Chardev | Failure"

ENTRIES: Final[tuple[Entry, ...]] = (*WAYS, *CHARDEVS, *FAILURES)

_OLDER: Final = b"older" * (OLDER // 5)
_FULL_SPACE: Final = 1
"""MiB of the full share, and of the files that fill it."""
_SPARE_BYTES: Final = 1 << 19


@dataclass(frozen=True)
class Shares:
    """A folder with the shares' files and sockets: ``share`` has all ways' files, by name.

    It is what a stub domain gets: named files, which appear whole, and channels.
    """

    folder: Path

    def options(self) -> list[str]:
        """Of ``attach`` and ``serve``, for the usual share."""
        names = [way.name for way in WAYS]
        names += [failure.name for failure in FAILURES if not failure.full]
        files = [f"--writable-file={name}={self.file(name)}" for name in names]
        return [
            *(*files, "--commit", "atomic", "--channel", f"{CHANNEL}={self.socket(CHANNEL)}"),
            *("--channel-from-guest", f"{LOG}={self.socket(LOG)}"),
        ]

    def full_options(self) -> list[str]:
        """Of ``attach`` and ``serve``, for the full share, which is the directory ``full``."""
        return ["--commit", "atomic", "--max-space", str(_FULL_SPACE)]

    @property
    def full(self) -> Path:
        """The directory of the full share."""
        return self.folder / "full"

    def file(self, name: str) -> Path:
        """The file of the usual share."""
        return self.folder / "files" / name

    def socket(self, name: str) -> Path:
        """A channel's."""
        return self.folder / name

    def check(self, way: Way, answer: dict[str, Any]) -> None:
        """Whether Dom0 has what the guest has read.  Raises ``WayError``."""
        content = self.file(way.name).read_bytes()
        if (len(content), hashlib.sha256(content).hexdigest()) != (
            answer["bytes"],
            answer["sha256"],
        ):
            raise WayError(f"the guest reads {answer['bytes']} bytes, Dom0 has {len(content)}")

    def found(self, failure: Failure) -> str:
        """What Dom0 has after a failure, in words for the table."""
        path = (self.full if failure.full else self.folder / "files") / failure.name
        return found(path, _OLDER[: 4096 if failure.full else OLDER])


@contextlib.contextmanager
def shares() -> Iterator[Shares]:
    """Files to be saved over, in a folder with a short name: it has the sockets as well."""
    with tempfile.TemporaryDirectory(prefix="xfp-") as name:
        made = Shares(Path(name))
        for folder in (made.folder / "files", made.full):
            folder.mkdir()
        for way in WAYS:
            made.file(way.name).write_bytes(_OLDER)
        for failure in FAILURES:
            if failure.full:
                (made.full / failure.name).write_bytes(_OLDER[:4096])
            else:
                made.file(failure.name).write_bytes(_OLDER)
        (made.full / "filling").write_bytes(b"x" * ((_FULL_SPACE << 20) - _SPARE_BYTES))
        (made.full / SPARE).write_bytes(b"x" * _SPARE_BYTES)
        yield made


def cell(said: str, dom0: str) -> str:
    """A failure, in words for the table."""
    return "; ".join(filter(None, [said, f"Dom0 has {dom0}"]))
