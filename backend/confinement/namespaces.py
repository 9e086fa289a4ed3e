"""Namespaces: no file system but the share's, and no network.

The order matters, and is split in two because what a process opens must be opened from Dom0's view,
but must not be a way back to it:

1. ``enter``: the process gets a mount namespace of its own, still with Dom0's whole view, so that
   what it opens from here on can be cloned; and empty network, IPC and UTS namespaces.
2. It opens what it needs, by path.
3. ``leave_dom0``: each directory it holds is replaced, under the same descriptor, by a clone whose
   root is that directory.  A descriptor into the old tree would be a door: ``..`` from it climbs
   to the root of its file system, whatever the process's own root is.  Then the root becomes an
   empty, read-only tmpfs with ``/proc/self/fd`` in it, and the old tree is let go.

The export is not even in the new root: it exists as a descriptor, and nowhere by name.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from backend.confinement import libc
from backend.fileserver.root import file_key

_CLONE_NEWNS: Final = 0x0002_0000  # linux/sched.h
_CLONE_NEWUTS: Final = 0x0400_0000
_CLONE_NEWIPC: Final = 0x0800_0000
_CLONE_NEWNET: Final = 0x4000_0000

_MS_RDONLY: Final = 1  # linux/mount.h
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MS_NOEXEC: Final = 8
_MS_REMOUNT: Final = 32
_MS_REC: Final = 0x4000
_MS_SLAVE: Final = 1 << 19

_READ_ONLY: Final = 0x01
_EXPORT: Final = 0x02 | 0x04 | 0x08 | 0x20_0000
"""MOUNT_ATTR_NOSUID, NODEV, NOEXEC, NOSYMFOLLOW.  The guest notices none of them: they are about
what *this* process may do with a file, and it runs none, opens no device and follows no link.  What
a guest runs, it runs in its own kernel, under the flags of its own mount."""

_BARE: Final = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC

_SOMEWHERE: Final = "/proc"
"""Any directory that is surely there: the new root is put together on it, seen by nobody else."""

_KEPT_OF_PROC: Final = "/proc/self/fd"


def enter() -> None:
    """New namespaces, with what they show unchanged for now.

    No process id namespace: that would need a process more, and no call that takes a process id
    is allowed.  No user namespace: in one, files of users that it does not map would belong to
    "nobody", in the guest's eyes too.  Raises ``OSError``: EPERM without CAP_SYS_ADMIN.
    """
    libc.unshare(_CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWIPC | _CLONE_NEWNET)
    # Dom0 sees none of our mounts.  As a slave, we follow when it unmounts something: a private
    # copy would keep a disk busy for as long as the guest lives.
    libc.mount("none", "/", "", _MS_REC | _MS_SLAVE)


def leave_dom0(*, read_only: bool) -> None:
    """Keep nothing of Dom0's file systems but the directories that are open.

    With ``read_only``, these cannot be written to either.  Raises ``OSError``: ENOSYS before
    Linux 5.14 and glibc 2.36.
    """
    proc_fd = os.open(_KEPT_OF_PROC, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        replacement = libc.clone_tree(proc_fd)
        _replace_directories(_EXPORT | (_READ_ONLY if read_only else 0), replacement)
    finally:
        os.close(proc_fd)
    libc.mount("none", _SOMEWHERE, "tmpfs", _BARE, "mode=0755,size=16k,nr_inodes=8")
    try:
        _move_into(_SOMEWHERE, replacement)
    except OSError:
        # Not even Landlock could be put up with this over /proc.
        os.chdir("/")
        libc.unmount_lazily(_SOMEWHERE)
        raise
    finally:
        os.close(replacement)


def _move_into(root: str, proc_clone: int) -> None:
    """Make the new file system ``root`` all that there is, with the descriptors in it.

    Raises ``OSError``: EINVAL where the process's root is the kernel's first one (an initramfs),
    which nobody can leave (pivot_root(2)).
    """
    os.makedirs(root + _KEPT_OF_PROC)
    libc.attach_tree(proc_clone, root + _KEPT_OF_PROC)
    libc.mount("none", root, "tmpfs", _BARE | _MS_REMOUNT | _MS_RDONLY)
    os.chdir(root)
    # Both roots in one place: the old one lies on top of the new one, and goes (pivot_root(2)).
    libc.pivot_root(".", ".")
    libc.unmount_lazily(".")
    os.chdir("/")


def _replace_directories(attributes: int, proc_clone: int) -> None:
    """Every directory that is held becomes the root of a tree of its own.

    Descriptors of one directory become one tree: two trees could not rename or link between them.
    The copy of a slave mount is a slave of the same master: it follows Dom0's mounts as well.
    """
    clones: dict[tuple[int, int], int] = {}
    for fd in held_directories(of_proc=True):
        if fd != proc_clone:
            os.dup2(proc_clone, fd, inheritable=False)
    for fd in held_directories(of_proc=False):
        key = file_key(fd)
        if key not in clones:
            clones[key] = libc.clone_tree(fd)
            libc.harden_tree(clones[key], attributes)
        os.dup2(clones[key], fd, inheritable=False)
    for fd in clones.values():
        os.close(fd)  # a tree lives as long as one copy of the descriptor that it was made with


def held_directories(*, of_proc: bool) -> list[int]:
    """The descriptors of directories that this process holds: of proc, or of all others."""
    proc_device = os.stat(_KEPT_OF_PROC).st_dev
    found = []
    for fd in map(int, os.listdir(_KEPT_OF_PROC)):
        try:
            status = os.fstat(fd)
        except OSError:
            continue  # the listing's own
        if stat.S_ISDIR(status.st_mode) and (status.st_dev == proc_device) == of_proc:
            found.append(fd)
    return found
