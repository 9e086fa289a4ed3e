"""Four processes append whole records to one file with O_APPEND, and no record is lost or torn."""

import os
import sys

PROCESSES, RECORDS, SIZE = 4, 100, 1000


def append(who: int) -> None:
    """One process's records."""
    file = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in range(RECORDS):
        os.write(file, f"{who} {number} ".encode().ljust(SIZE - 1, b".") + b"\n")
    os.close(file)


def main() -> None:
    """Fork them, wait, and look at every record."""
    children = []
    for who in range(PROCESSES):
        child = os.fork()
        if child == 0:
            append(who)
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    with open("log", "rb") as log:
        lines = log.read().splitlines(keepends=True)
    torn = [line for line in lines if len(line) != SIZE]
    seen = {tuple(line.split()[:2]) for line in lines}
    print(f"{len(seen)} of {PROCESSES * RECORDS} records, {len(torn)} torn")
    if torn or len(seen) != PROCESSES * RECORDS or len(lines) != len(seen):
        sys.exit(1)


main()
