"""What ``get``, ``put`` and ``cat`` share: one file's way, its digest, and the summary."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from frontend_stub.commands.number import number
from frontend_stub.local_files import is_regular, named, write_all
from frontend_stub.read_ahead import read_in_order, read_to_file
from frontend_stub.write_behind import WINDOW, pieces_of, write_pieces

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from frontend_stub.share import Share

    Progress = Callable[[int], object]

CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class Summary(NamedTuple):
    """One finished transfer; ``seconds`` from open to close, fsync included."""

    source: str
    target: str
    bytes: int
    seconds: float
    sha256: str | None

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` shows it."""
        shown = self._asdict()
        if self.sha256 is None:
            del shown["sha256"]
        return shown


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that ``get`` and ``put`` have in common."""
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="copy directories with all files in them"
    )
    parser.add_argument("--json", action="store_true", help="print bytes and seconds, as JSON")
    parser.add_argument("--sha256", action="store_true", help="print the data's SHA-256")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar on a terminal")
    parser.add_argument(
        "--window",
        type=number("a number of requests", 1, 32),
        default=WINDOW,
        metavar="N",
        help=f"requests in flight, 1 to 32 (default: {WINDOW})",
    )


class Transfer:
    """Copies single files as the options say."""

    def __init__(self, share: Share, args: argparse.Namespace) -> None:
        self._share = share
        self._window: int = args.window
        self._hash: bool = args.sha256

    def receive(
        self, source: str | bytes, name: str, descriptor: int, progress: Progress
    ) -> Summary:
        """Copy a file of the share to an open local descriptor."""
        start = time.perf_counter()
        digest = hashlib.sha256() if self._hash else None
        with named(name), self._share.open(source) as file:
            size = file.stat().size
            if is_regular(descriptor) and digest is None and descriptor > 2:
                total = read_to_file(file, descriptor, size, self._window, progress)
            else:
                total = 0
                with closing(read_in_order(file, size, self._window)) as pieces:
                    for piece in pieces:
                        if digest is not None:
                            digest.update(piece)
                        write_all(descriptor, piece)
                        total += len(piece)
                        progress(len(piece))
        return Summary(os.fsdecode(source), name, total, time.perf_counter() - start, _hex(digest))

    def send(
        self, descriptor: int, name: str, target: str | bytes, progress: Progress, *, fsync: bool
    ) -> Summary:
        """Copy what an open local descriptor gives to a file of the share."""
        start = time.perf_counter()
        digest = hashlib.sha256() if self._hash else None
        with named(name), self._share.open(target, CREATE) as file:
            pieces = pieces_of(descriptor, file.max_io, self._window)
            if digest is not None:
                pieces = _hashed(pieces, digest)
            total = write_pieces(file, pieces, 0, self._window, progress)
            if fsync:
                file.fsync()
        return Summary(name, os.fsdecode(target), total, time.perf_counter() - start, _hex(digest))


def _hashed(pieces: Iterator[memoryview], digest: hashlib._Hash) -> Iterator[memoryview]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def _hex(digest: hashlib._Hash | None) -> str | None:
    return None if digest is None else digest.hexdigest()
