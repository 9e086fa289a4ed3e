"""Which of a stack's machines runs which tests: whole files, as they share guests."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tools.lab.images import SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALL: Final = ("tests/lab", "tests/contract")
SECONDS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "tests/contract": 170,
        "tests/lab/test_ends.py": 60,
        "tests/lab/test_frontend.py": 35,
        "tests/lab/test_hook.py": 160,
        "tests/lab/test_hotplug.py": 100,
        "tests/lab/test_many_guests.py": 65,
        "tests/lab/test_mounting.py": 130,
        "tests/lab/test_recovery.py": 110,
        "tests/lab/test_restarts.py": 130,
        "tests/lab/test_stubdom.py": 250,
    }
)
"""What they take in one of two machines of a processor each."""
_OTHERS: Final = 10
_SKIPPED: Final = MappingProxyType(
    {"12": "tests/lab/test_hook.py", "13": "tests/lab/test_stubdom.py"}
)
"""What a stack has nothing for."""
MEMORY: Final = Path("/proc/meminfo")
_MACHINE_MIB: Final = 6656
"""What one takes of the host's memory."""


def machines() -> int:
    """So many machines this host has memory and processors for: one or two."""
    said = dict(line.split(":") for line in MEMORY.read_text(encoding="ascii").splitlines())
    available = int(said["MemAvailable"].split()[0]) >> 10
    return max(1, min(2, available // _MACHINE_MIB, os.cpu_count() or 1))


def named(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Of a command line of pytest the tests, by default all, and the other words."""
    tests = [word for word in words if _is_test(word)]
    others = [word for word in words if word not in tests]
    return [file for test in tests or ALL for file in _files(test)], others


def _is_test(word: str) -> bool:
    path = Path(os.path.normpath(SOURCE / word.partition("::")[0]))
    return path.is_relative_to(SOURCE / "tests") and path.exists()


def _files(test: str) -> list[str]:
    """The tests of the lab by files; the contract suite's have two guests in common."""
    if (SOURCE / test).is_dir() and (SOURCE / ALL[0]).samefile(SOURCE / test):
        return sorted(f"{ALL[0]}/{path.name}" for path in (SOURCE / test).glob("test_*.py"))
    return [test]


def dealt(tests: Sequence[str], number: int, stack: str) -> list[list[str]]:
    """The tests by machine, ``number`` at most: the longest first, each to who has least."""

    def seconds(test: str) -> int:
        file = test.partition("::")[0].rstrip("/")
        return 0 if file == _SKIPPED[stack] else SECONDS.get(file, _OTHERS)

    shares: list[list[str]] = [[] for _ in range(number)]
    for test in sorted(tests, key=seconds, reverse=True):
        min(shares, key=lambda share: sum(map(seconds, share))).append(test)
    # In each machine in the order in which they were named.
    return [sorted(share, key=tests.index) for share in shares if share]
