"""Files of every kind, owner and mode: made, changed and shown, as ``mapped_owners`` asks for it.

The same is done on the guest's tmpfs, which says what must be shown.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys

import manifest  # type: ignore[import-not-found]  # init's PYTHONPATH leads to it

COLOUR = "user.colour" if sys.argv[1].startswith("/mnt/") else "trusted.colour"
"""Linux's tmpfs has no user attributes before 6.6."""

_ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, permissions, who)
    for tag, permissions, who in (
        (1, 6, 0xFFFFFFFF),  # the owner
        (2, 4, 1234),  # user 1234
        (4, 4, 0xFFFFFFFF),  # the group
        (16, 4, 0xFFFFFFFF),  # the mask
        (32, 0, 0xFFFFFFFF),  # others
    )
)
"""u::rw- u:1234:r-- g::r-- m::r-- o::--- (acl(5); ``linux/posix_acl_xattr.h``)."""


def make() -> None:
    """A tree."""
    os.makedirs("dir/below")
    for number, mode in enumerate((0o644, 0o600, 0, 0o777, 0o4755, 0o2755, 0o6711, 0o1644)):
        with open(f"file-{mode:o}", "wb") as file:
            file.write(b"data" * number)
        os.chown(f"file-{mode:o}", 1000 + number, 2000 + number)
        os.chmod(f"file-{mode:o}", mode)
    os.chown("dir", 5, 6)
    os.chmod("dir", 0o3775)
    os.symlink("file-644", "link")
    os.symlink("nowhere/\udcff", "dir/dangling")
    os.symlink("t" * 4000, "dir/long")
    os.chown("link", 4294967294, 77, follow_symlinks=False)
    os.mkfifo("fifo", 0o622)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    os.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod("disk", stat.S_IFBLK | 0o660, os.makedev(259, 70_000))
    os.mknod("plain", stat.S_IFREG | 0o640)
    os.chown("disk", 0, 6)
    os.link("link", "dir/second")
    os.link("fifo", "dir/fifo")
    os.setxattr("plain", COLOUR, b"blue")
    os.setxattr("plain", "system.posix_acl_access", _ACL)


def change() -> None:
    """What another server's files must bear."""
    os.chmod("file-644", 0o4711)
    os.chown("file-4755", 9, 9)
    os.chown("link", 1, 2, follow_symlinks=False)
    os.chmod("null", 0o600)
    os.chmod("fifo", 0o777)
    os.chown("disk", 3, 4)
    os.chmod("dir", 0o700)
    os.rename("socket", "dir/moved")
    os.rename("dir/long", "shorter")
    os.unlink("dir/second")
    os.truncate("file-600", 1)
    os.link("null", "dir/below/null")
    os.setxattr("plain", COLOUR, b"red")
    with open("dir/new", "wb") as file:
        os.fchmod(file.fileno(), 0o400)


def show() -> None:
    """What the guest sees of it, by stat(2), by what a directory tells, and by attributes."""
    for line in manifest.lines(b".", times="no"):
        print(line)
    for folder in (".", "dir", "dir/below"):
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                here = {"follow_symlinks": False}
                kinds = entry.is_symlink(), entry.is_dir(**here), entry.is_file(**here)
                print("entry", ascii(entry.path), *kinds)
    print("the colour is", os.getxattr("plain", COLOUR))
    print("the ACL is", os.getxattr("plain", "system.posix_acl_access").hex())
    print("other attributes are", sorted({*os.listxattr("plain")} - {COLOUR}))


def main() -> None:
    """``owners.py DIRECTORY make change show``: each in its turn."""
    os.umask(0)
    os.makedirs(sys.argv[1], exist_ok=True)
    os.chdir(sys.argv[1])
    for step in sys.argv[2:]:
        {"make": make, "change": change, "show": show}[step]()


main()
