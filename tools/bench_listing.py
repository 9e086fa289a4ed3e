"""How much CPU the server takes to list a large directory, against ``ls -f`` on the same tmpfs.

Treaddir's handler with all its system calls, at the message size that Linux uses at most; no ring
and no client.  Each row is the CPU time of the best of several rounds, because everything else on
the machine only ever adds.  ``mapped`` is ``security_model=mapped-xattr``; ``filtered`` is a policy
that looks at each entry.

    python tools/bench_listing.py --files 100000 /dev/shm
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from backend.fileserver.directories import readdir
from backend.fileserver.handlers import HANDLERS
from backend.fileserver.limits import Limits
from backend.fileserver.local_tree import LocalTree
from backend.fileserver.policies.forwarding import ForwardingFile, ForwardingTree
from backend.fileserver.policies.mapped_xattr import MappedXattrTree
from backend.fileserver.session import Session
from protocol.ninep.directory import ENTRY_SIZE, decode_entries
from protocol.ninep.flags import DOTL_DIRECTORY
from protocol.ninep.ids import NOFID, NONUNAME, NOTAG, Fid, Tag
from protocol.ninep.messages import Tattach, Tlopen, Treaddir, Tversion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from backend.fileserver.files import File
    from backend.fileserver.tree import Tree
    from protocol.ninep.messages import Dirent

ROUNDS: Final = 9
ROOM: Final = 512 * 1024 - 24
FID: Final = Fid(0)
ENTRY_BYTES: Final = ENTRY_SIZE + len("file-000000")


class _FilteredFile(ForwardingFile):
    def entries(self, cookie: int) -> Iterable[Dirent]:
        return (entry for entry in self.inner.entries(cookie) if not entry.name.startswith(b"#"))


class _FilteredTree(ForwardingTree):
    def wrap(self, file: File) -> File:
        return _FilteredFile(file)


def _opened(session: Session) -> Session:
    for request in (
        Tversion(NOTAG, ROOM + 24, b"9P2000.L"),
        Tattach(Tag(0), FID, NOFID, b"", b"", NONUNAME),
        Tlopen(Tag(0), FID, DOTL_DIRECTORY),
    ):
        HANDLERS[type(request)](session, request)
    return session


def _list(session: Session) -> int:
    """List the directory from its start; how many bytes of entries that are."""
    total = offset = 0
    while data := readdir(session, Treaddir(Tag(0), FID, offset, ROOM), ROOM):
        total += len(data)
        # On a tmpfs "." and ".." come first, and all other names have one length.
        offset = decode_entries(data[-ENTRY_BYTES:])[0].offset
    return total


def _best(action: Callable[[], object]) -> float:
    """Milliseconds of CPU, user and system, of this process and those it has waited for."""
    times = []
    for _ in range(ROUNDS):
        began = _cpu_seconds()
        action()
        times.append(_cpu_seconds() - began)
    return 1000 * min(times)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _listing(directory: str, wrap: Callable[[Tree], Tree]) -> float:
    session = _opened(Session(wrap(LocalTree(directory)), Limits(), ROOM + 24))
    took = _best(lambda: _list(session))
    session.close()
    return took


def main() -> None:
    """Measure, and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=100_000, help="at most 1000000")
    parser.add_argument("directory", help="where to make them: on a tmpfs, as /dev/shm is")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        for number in range(arguments.files):
            os.mknod(f"{directory}/file-{number:06}")
        command = ["ls", "-f", directory]
        ls = _best(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True))
        print(f"ls -f    {ls:7.1f} ms")
        for name, took in (
            ("server", _listing(directory, lambda tree: tree)),
            ("mapped", _listing(directory, MappedXattrTree)),
            ("filtered", _listing(directory, _FilteredTree)),
        ):
            print(f"{name:8} {took:7.1f} ms, {took / ls:.2f} times ls -f")


if __name__ == "__main__":
    main()
