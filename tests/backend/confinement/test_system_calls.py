"""The list of system calls: it can be read, by people and by libseccomp."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest

from backend.confinement import seccomp
from backend.confinement.seccomp import RULES, Condition, Rule, parse
from backend.confinement.walls import Unsupported
from tests.backend.confinement.conftest import need

if TYPE_CHECKING:
    from tests.backend.confinement.conftest import Prison


def test_a_line() -> None:
    text = "# head\n\n[group]\nallow mmap 2&4=0 1=0x10  # never # executable\nkill fork # no\n"
    assert parse(text) == [
        Rule(
            "allow",
            "mmap",
            (Condition(2, 4, 0), Condition(1, (1 << 64) - 1, 16)),
            "never # executable",
        ),
        Rule("kill", "fork", (), "no"),
    ]


@pytest.mark.parametrize(
    "line", ["allow mmap", "allow mmap #", "permit mmap # x", "allow mmap 6=1 # x", "kill a b # x"]
)
def test_a_line_that_says_something_else_is_named(line: str) -> None:
    with pytest.raises(ValueError, match=r"system-calls.txt, line 2: not 'allow\|kill NAME"):
        parse(f"# head\n{line}\n")


def test_every_call_is_there_once_or_with_conditions() -> None:
    names = [rule.name for rule in RULES]
    twice = {name for name in names if names.count(name) > 1}
    assert all(rule.conditions for rule in RULES if rule.name in twice)


def test_no_name_is_misspelt() -> None:
    """libseccomp knows them all, but for those that are newer than it is."""
    if isinstance(seccomp.PROGRAM, Unsupported):
        pytest.skip(str(seccomp.PROGRAM))
    library: Any = seccomp._ffi.dlopen("libseccomp.so.2")
    unknown = {
        rule.name
        for rule in RULES
        # -1: no name on any architecture; another negative number: not on this one.
        if library.seccomp_syscall_resolve_name(rule.name.encode()) == -1
    }
    assert unknown <= {"fchmodat2", "futex_waitv", "epoll_pwait2", "mount_setattr"}


def test_what_is_not_listed_is_not_there(prison: Prison, kernel: dict[str, str]) -> None:
    need(kernel, "seccomp")
    assert prison.run("unlisted").value == errno.ENOSYS
