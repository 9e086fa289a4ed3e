"""In the guest: the jobs, each timed here, by the guest's clock, one turn at a time.

A line from Dom0 on the console is ``@JOB FOLDER TURN``; the answer is ``@took SECONDS OPERATIONS``
or ``@failed WHY``.  ``FOLDER`` is a mounted share that Dom0 has prepared: ``data`` holds
``DATA_BYTES``, ``listed`` is a directory of ``LISTED`` files, ``many`` an empty one.

A request costs milliseconds where processors are emulated, and Python's loop around it some
hundredths of that, the same for either backend.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KIB: Final = 1 << 10
MIB: Final = 1 << 20
DATA_BYTES: Final = 64 * MIB
LISTED: Final = 2000
FILES: Final = 1000
"""Files of a turn."""

Prepared = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""For a folder and a turn: a context whose value is called, and timed."""


class Transfer(NamedTuple):
    """Reads or writes of ``size`` bytes, one after the other."""

    size: int
    times: int
    write: bool
    scattered: bool

    def offsets(self, turn: int) -> list[int]:
        """Where, in which order."""
        size, times = self.size, self.times
        places = DATA_BYTES // size
        if self.scattered:
            return [size * place for place in random.Random(turn).sample(range(places), times)]
        return [size * ((turn * times + n) % places) for n in range(times)]


class Job(NamedTuple):
    """A row of the table."""

    title: str
    operations: int
    """In one turn."""
    prepared: Prepared
    transfer: Transfer | None = None
    """What it reads or writes, if that is what it does."""


def _transfer(size: int, count: int, *, write: bool, scattered: bool = False) -> Job:
    """Each read or write is a system call."""
    transfer = Transfer(size, count, write, scattered)

    @contextmanager
    def prepared(folder: str, turn: int) -> Iterator[Callable[[], None]]:
        offsets = transfer.offsets(turn)
        buffer = os.urandom(size)
        fd = os.open(f"{folder}/data", os.O_RDWR)

        def body() -> None:
            if write:
                for offset in offsets:
                    assert os.pwrite(fd, buffer, offset) == size
            else:
                for offset in offsets:
                    assert len(os.pread(fd, size, offset)) == size

        try:
            yield body
        finally:
            os.close(fd)

    unit = f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"
    how = "random" if scattered else "sequential"
    return Job(f"{unit} {how} {'write' if write else 'read'}", count, prepared, transfer)


def _with_files(title: str, act: Callable[[str], object]) -> Job:
    """Something that is done to each of a turn's files."""

    @contextmanager
    def prepared(folder: str, turn: int) -> Iterator[Callable[[], None]]:
        names = [f"{folder}/many/{turn}-{number}" for number in range(FILES)]

        def body() -> None:
            for name in names:
                act(name)

        yield body

    return Job(title, FILES, prepared)


def _create(name: str) -> None:
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))


@contextmanager
def _ls(folder: str, turn: int) -> Iterator[Callable[[], None]]:
    del turn

    def body() -> None:
        done = subprocess.run(["ls", "-l", f"{folder}/listed"], capture_output=True, check=True)
        assert done.stdout.count(b"\n") == LISTED + 1

    yield body


JOBS: Final = {
    "write-4k": _transfer(4 * KIB, 250, write=True),
    "read-4k": _transfer(4 * KIB, 250, write=False),
    "write-128k": _transfer(128 * KIB, 64, write=True),
    "read-128k": _transfer(128 * KIB, 64, write=False),
    "write-1m": _transfer(MIB, 16, write=True),
    "read-1m": _transfer(MIB, 16, write=False),
    "random-write-4k": _transfer(4 * KIB, 250, write=True, scattered=True),
    "random-read-4k": _transfer(4 * KIB, 250, write=False, scattered=True),
    "create": _with_files("create a file", _create),
    "stat": _with_files("stat a file", os.stat),
    "unlink": _with_files("unlink a file", os.unlink),
    "ls": Job(f"ls -l of {LISTED:,}", 1, _ls),
}
"""In the order in which a turn does them: what is removed must have been created."""


def timed(job: Job, folder: str, turn: int) -> float:
    """Seconds that one turn of a job takes."""
    with job.prepared(folder, turn) as body:
        start = time.perf_counter()
        body()
        return time.perf_counter() - start


def obey(jobs: Mapping[str, Job]) -> None:
    """Obey the lines on the console, without end."""
    console = os.open("/dev/hvc0", os.O_RDWR | os.O_NOCTTY)
    with open(console, encoding="ascii") as lines:
        os.write(console, b"@ready\n")
        for line in lines:
            name, folder, turn = line.split()
            try:
                job = jobs[name.removeprefix("@")]
                answer = f"@took {timed(job, folder, int(turn))} {job.operations}"
            except (OSError, AssertionError, subprocess.SubprocessError) as error:
                answer = f"@failed {name}: {error!r}"
            os.write(console, f"{answer}\n".encode())


if __name__ == "__main__":
    obey(JOBS)
