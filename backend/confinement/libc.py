"""The system calls that put up the walls: all that is unsafe about them is in this file.

Through cffi's ABI mode, as ``backend.fileserver.syscalls``: the C library that the interpreter runs
on is asked.  Each function takes and gives Python values only, and raises ``OSError`` with the
call's errno; ENOSYS too where the C library does not have the call.

Constants are those of Linux's ``uapi`` headers named beside them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from struct import Struct
from typing import Any, Final, NamedTuple

from cffi import FFI

_AT_EMPTY_PATH: Final = 0x1000  # linux/fcntl.h
_AT_RECURSIVE: Final = 0x8000

_OPEN_TREE_CLONE: Final = 1  # linux/mount.h
_OPEN_TREE_CLOEXEC: Final = os.O_CLOEXEC
_MNT_DETACH: Final = 2

_PR_SET_SECCOMP: Final = 22  # linux/prctl.h
_SECCOMP_MODE_FILTER: Final = 2  # linux/seccomp.h
_INSTRUCTION: Final = 8
"""Bytes of ``struct sock_filter`` (linux/filter.h)."""

_CAPABILITY_VERSION_3: Final = 0x20080522  # linux/capability.h
_LANDLOCK_CREATE_RULESET_VERSION: Final = 1  # linux/landlock.h
_LANDLOCK_RULE_PATH_BENEATH: Final = 1

_CLONE_FILES: Final = 0x400  # linux/sched.h
_NR_CLONE: Final = 56 if os.uname().machine == "x86_64" else 220  # x86's table; asm-generic

# The same on every architecture that Xen has a Dom0 for (asm-generic/unistd.h and x86's table);
# no C library has wrappers for them.
_NR_LANDLOCK_CREATE_RULESET: Final = 444
_NR_LANDLOCK_ADD_RULE: Final = 445
_NR_LANDLOCK_RESTRICT_SELF: Final = 446

_PATH_BENEATH: Final = Struct("=Qi")  # struct landlock_path_beneath_attr, which is packed

_ffi = FFI()
_ffi.cdef(
    """
    struct mount_attr { uint64_t attr_set, attr_clr, propagation, userns_fd; };
    struct sock_fprog { unsigned short length; void *filter; };
    struct cap_header { uint32_t version; int pid; };
    struct cap_data { uint32_t effective, permitted, inheritable; };
    struct landlock_ruleset_attr { uint64_t access_fs, access_net, scoped; };

    long syscall(long number, ...);
    int prctl(int option, ...);
    int unshare(int flags);
    int mount(const char *source, const char *target, const char *type, unsigned long flags,
              const char *data);
    int umount2(const char *target, int flags);
    int pivot_root(const char *new_root, const char *put_old);
    int open_tree(int fd, const char *path, unsigned int flags);
    int move_mount(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags);
    int mount_setattr(int fd, const char *path, unsigned int flags, struct mount_attr *attr,
                      size_t size);
    int capget(struct cap_header *header, struct cap_data *data);
    int capset(struct cap_header *header, const struct cap_data *data);
    """
)
_libc: Any = _ffi.dlopen(None)

# cffi takes about 0.5 ms to understand the name of a type, so that is done here: once, in the fork
# server, for all workers.
_INT: Final = _ffi.typeof("int")
_UINT32: Final = _ffi.typeof("uint32_t")
_ULONG: Final = _ffi.typeof("unsigned long")
_MOUNT_ATTR: Final = _ffi.typeof("struct mount_attr *")
_FILTER: Final = _ffi.typeof("struct sock_fprog *")
_CAP_HEADER: Final = _ffi.typeof("struct cap_header *")
_CAP_DATA: Final = _ffi.typeof("struct cap_data[2]")
_RULESET_ATTR: Final = _ffi.typeof("struct landlock_ruleset_attr *")


def _ulong(number: int) -> Any:  # noqa: ANN401 -- a C number
    return _ffi.cast(_ULONG, number)


_ZERO: Final = _ulong(0)


class CapabilitySets(NamedTuple):
    """A thread's sets, as bits by number (capabilities(7))."""

    effective: int
    permitted: int
    inheritable: int


def prctl(option: int, first: int, second: int = 0) -> int:
    """Change a property of this process, by numbers of ``linux/prctl.h``; the call's result."""
    return _checked(_libc.prctl(option, _ulong(first), _ulong(second), _ZERO, _ZERO))


def load_filter(program: bytes) -> None:
    """Filter this thread's system calls by a BPF program (seccomp(2), SECCOMP_MODE_FILTER)."""
    instructions = _ffi.from_buffer(program)
    filter_ = _ffi.new(_FILTER, [len(program) // _INSTRUCTION, instructions])
    _checked(_libc.prctl(_PR_SET_SECCOMP, _ulong(_SECCOMP_MODE_FILTER), filter_))


def unshare(flags: int) -> None:
    """New namespaces for this process (unshare(2))."""
    _checked(_libc.unshare(flags))


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount, or change a mount (mount(2)); an empty ``kind`` for what is there."""
    texts = (source.encode(), target.encode(), kind.encode())
    _checked(_libc.mount(*texts, flags, data.encode()))


def unmount_lazily(target: str) -> None:
    """Take a mount, and what is mounted below it, out of sight (umount2(2), MNT_DETACH)."""
    _checked(_libc.umount2(target.encode(), _MNT_DETACH))


def pivot_root(new_root: str, put_old: str) -> None:
    """Change the root mount of this mount namespace (pivot_root(2))."""
    _checked(_libc.pivot_root(new_root.encode(), put_old.encode()))


def clone_tree(fd: int) -> int:
    """A descriptor (O_PATH) of a new, unattached copy of the mounts from the directory ``fd`` down.

    The directory is the root of the copy: nothing lies above it (open_tree(2)).
    """
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_EMPTY_PATH | _AT_RECURSIVE
    return _checked(_call("open_tree")(fd, b"", flags))


def attach_tree(fd: int, target: str) -> None:
    """Attach what ``clone_tree`` gave at a directory (move_mount(2))."""
    from_empty_path, at_fdcwd = 4, -100
    _checked(_call("move_mount")(fd, b"", at_fdcwd, target.encode(), from_empty_path))


def harden_tree(fd: int, attributes: int) -> None:
    """Set attributes on all mounts from ``fd`` down (mount_setattr(2))."""
    attr = _ffi.new(_MOUNT_ATTR, {"attr_set": attributes})
    flags = _AT_EMPTY_PATH | _AT_RECURSIVE
    _checked(_call("mount_setattr")(fd, b"", flags, attr, _ffi.sizeof(attr[0])))


def capabilities() -> CapabilitySets:
    """This thread's capabilities."""
    header, data = _capability_buffers()
    _checked(_libc.capget(header, data))
    return CapabilitySets(
        *(getattr(data[0], name) | getattr(data[1], name) << 32 for name in CapabilitySets._fields)
    )


def set_capabilities(sets: CapabilitySets) -> None:
    """Replace this thread's capabilities."""
    header, data = _capability_buffers()
    for name, bits in sets._asdict().items():
        setattr(data[0], name, bits & 0xFFFF_FFFF)
        setattr(data[1], name, bits >> 32)
    _checked(_libc.capset(header, data))


def landlock_abi() -> int:
    """The version of Landlock's interface.  ENOSYS: not built in; EOPNOTSUPP: not switched on."""
    return _checked(
        _libc.syscall(
            _NR_LANDLOCK_CREATE_RULESET,
            _ffi.NULL,
            _ffi.cast(_ULONG, 0),
            _ffi.cast(_UINT32, _LANDLOCK_CREATE_RULESET_VERSION),
        )
    )


def landlock_ruleset(access_fs: int, access_net: int, scoped: int, size: int) -> int:
    """A descriptor of a rule set that handles these accesses.

    ``size`` is as many bytes of the structure as the kernel's version knows.
    """
    attr = _ffi.new(_RULESET_ATTR, [access_fs, access_net, scoped])
    return _checked(
        _libc.syscall(
            _NR_LANDLOCK_CREATE_RULESET,
            attr,
            _ffi.cast(_ULONG, size),
            _ffi.cast(_UINT32, 0),
        )
    )


def landlock_allow(ruleset: int, access_fs: int, directory: int) -> None:
    """Allow ``access_fs`` from ``directory`` down."""
    attr = _ffi.from_buffer(_PATH_BENEATH.pack(access_fs, directory))
    _checked(
        _libc.syscall(
            _NR_LANDLOCK_ADD_RULE,
            _ffi.cast(_INT, ruleset),
            _ffi.cast(_INT, _LANDLOCK_RULE_PATH_BENEATH),
            attr,
            _ffi.cast(_UINT32, 0),
        )
    )


def landlock_restrict(ruleset: int) -> None:
    """Bind this thread, and every thread it will start, to the rule set for ever."""
    _checked(
        _libc.syscall(_NR_LANDLOCK_RESTRICT_SELF, _ffi.cast(_INT, ruleset), _ffi.cast(_UINT32, 0))
    )


def _capability_buffers() -> tuple[Any, Any]:
    header = _ffi.new(_CAP_HEADER, {"version": _CAPABILITY_VERSION_3, "pid": 0})
    return header, _ffi.new(_CAP_DATA)


def _call(name: str) -> Any:  # noqa: ANN401 -- a C function
    """A function that C libraries have only lately (glibc 2.36)."""
    try:
        return getattr(_libc, name)
    except AttributeError:
        raise OSError(errno.ENOSYS, f"the C library has no {name}") from None


def _checked(result: int) -> int:
    if result < 0:
        number = _ffi.errno
        raise OSError(number, os.strerror(number))
    return result


def fork_sharing_descriptors() -> int:
    """fork(2), but parent and child go on with one table of descriptors (clone(2), CLONE_FILES).

    0 in the child.  What either opens or closes, the other has opened or closed; when one ends, the
    table stays with the other.  There must be no other thread.  Raises ``OSError``.
    """
    api = ctypes.pythonapi  # these three want the interpreter's lock held, which cffi gives up
    api.PyOS_BeforeFork()
    pid = int(_libc.syscall(_ulong(_NR_CLONE), _ulong(_CLONE_FILES | signal.SIGCHLD), *[_ZERO] * 4))
    error = _ffi.errno
    if pid == 0:
        api.PyOS_AfterFork_Child()
    else:
        api.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, os.strerror(error))
    return pid
