"""The system-call filter: ``system-calls.txt``, handed to the kernel by libseccomp."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

from cffi import FFI

from backend.confinement import libc
from backend.confinement.walls import Unsupported

LIST: Final = Path(__file__).with_name("system-calls.txt")

_LIBRARY: Final = "libseccomp.so.2"
"""systemd wants it: every Debian that runs systemd has it."""

# seccomp.h of libseccomp 2.5
_KILL_PROCESS: Final = 0x8000_0000
_ALLOW: Final = 0x7FFF_0000
_ERRNO: Final = 0x0005_0000
_ATTR_BAD_ARCHITECTURE: Final = 2
_ATTR_OPTIMIZE: Final = 8
_BINARY_TREE: Final = 2
_MASKED_EQUAL: Final = 7
_WHOLE: Final = (1 << 64) - 1

_ACTIONS: Final = {"allow": _ALLOW, "kill": _KILL_PROCESS}

_LINE: Final = re.compile(r"(allow|kill)\s+(\w+)\s*([^#]*?)\s*#\s*(\S.*)")
_CONDITION: Final = re.compile(r"([0-5])(?:&(\w+))?=(\w+)")

_ffi = FFI()
_ffi.cdef(
    """
    struct scmp_arg_cmp { unsigned int arg; int op; uint64_t datum_a; uint64_t datum_b; };
    void *seccomp_init(uint32_t def_action);
    void seccomp_release(void *ctx);
    int seccomp_attr_set(void *ctx, int attr, uint32_t value);
    int seccomp_syscall_resolve_name(const char *name);
    int seccomp_rule_add_array(void *ctx, uint32_t action, int syscall, unsigned int arg_cnt,
                               const struct scmp_arg_cmp *arg_array);
    int seccomp_export_bpf(void *ctx, int fd);
    """
)


class Condition(NamedTuple):
    """Holds where the argument's bits under ``mask`` are ``value``."""

    argument: int
    mask: int
    value: int


class Rule(NamedTuple):
    """A line of the list."""

    action: str
    name: str
    conditions: tuple[Condition, ...]
    reason: str


def parse(text: str) -> list[Rule]:
    """The rules in a list.  Raises ``ValueError`` naming the line."""
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith(("#", "[")):
            continue
        match = _LINE.fullmatch(line)
        conditions = match and [_CONDITION.fullmatch(word) for word in match[3].split()]
        if not match or (not conditions and match[3]) or None in (conditions or ()):
            raise ValueError(f"{LIST.name}, line {number}: not 'allow|kill NAME ... # reason'")
        rules.append(Rule(match[1], match[2], tuple(map(_condition, conditions or ())), match[4]))
    return rules


def _condition(match: re.Match[str] | None) -> Condition:
    assert match is not None  # noqa: S101 -- parse has looked
    mask = int(match[2], 0) if match[2] else _WHOLE
    return Condition(int(match[1]), mask, int(match[3], 0))


def _compiled() -> bytes | Unsupported:
    """The filter as the kernel takes it, or why there is none."""
    try:
        library: Any = _ffi.dlopen(_LIBRARY)
    except OSError:
        return Unsupported(f"{_LIBRARY} is not installed (apt install libseccomp2)")
    try:
        return _compile(library)
    except OSError as error:
        return Unsupported(f"libseccomp does not take {LIST.name}: {error.strerror}")


def _compile(library: Any) -> bytes:  # noqa: ANN401 -- a C library
    filter_ = library.seccomp_init(_ERRNO | errno.ENOSYS)
    try:
        # Calls by the number of another architecture (32-bit on x86-64) never come from us.
        _check(library.seccomp_attr_set(filter_, _ATTR_BAD_ARCHITECTURE, _KILL_PROCESS))
        # Faster to build and to run; what libseccomp 2.4 does not know changes nothing else.
        library.seccomp_attr_set(filter_, _ATTR_OPTIMIZE, _BINARY_TREE)
        for rule in RULES:
            number = library.seccomp_syscall_resolve_name(rule.name.encode())
            if number >= 0:  # else this architecture, or this libseccomp, has no such call
                _add(library, filter_, rule, number)
        with os.fdopen(os.memfd_create("filter"), "rb") as file:
            _check(library.seccomp_export_bpf(filter_, file.fileno()))
            file.seek(0)
            return file.read()
    finally:
        library.seccomp_release(filter_)


def _add(library: Any, filter_: Any, rule: Rule, number: int) -> None:  # noqa: ANN401 -- C objects
    tests = _ffi.new(
        "struct scmp_arg_cmp[]",
        [(test.argument, _MASKED_EQUAL, test.mask, test.value) for test in rule.conditions],
    )
    action = _ACTIONS[rule.action]
    _check(library.seccomp_rule_add_array(filter_, action, number, len(rule.conditions), tests))


def _check(result: int) -> None:
    """Raise what libseccomp returns as a negative errno."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))


# Made with this module, which the fork server imports once for all workers; and inside the other
# walls there would be neither list nor library.
RULES: Final = parse(LIST.read_text(encoding="ascii"))
PROGRAM: Final = _compiled()


def load() -> None:
    """Put the filter in force for this thread and those it will start, for ever.

    Wants no-new-privs.  Raises ``Unsupported``, ``OSError``.
    """
    if isinstance(PROGRAM, Unsupported):
        raise PROGRAM
    libc.load_filter(PROGRAM)
