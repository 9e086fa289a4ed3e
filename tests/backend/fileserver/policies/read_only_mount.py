"""What Linux says on a read-only mount: prints the errno of each operation, as JSON.

Usage: read_only_mount.py FOLDER, in mount and user namespaces of its own.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

READ, WRITE, CREATE = os.O_RDONLY, os.O_WRONLY, os.O_CREAT

OPERATIONS: dict[str, Callable[[], object]] = {
    "open to read": lambda: os.close(os.open("file", READ)),
    "open to write": lambda: os.open("file", WRITE),
    "open to read, truncating": lambda: os.open("file", READ | os.O_TRUNC),
    "open directory to write": lambda: os.open("dir", WRITE),
    "create": lambda: os.open("new", WRITE | CREATE, 0o600),
    "create to read": lambda: os.open("new", READ | CREATE, 0o600),
    "create existing to read": lambda: os.close(os.open("file", READ | CREATE)),
    "create existing to write": lambda: os.open("file", WRITE | CREATE),
    "create existing exclusively": lambda: os.open("file", WRITE | CREATE | os.O_EXCL),
    "create existing directory": lambda: os.open("dir", READ | CREATE),
    "create below a file": lambda: os.open("file/new", WRITE | CREATE, 0o600),
    "mkdir": lambda: os.mkdir("new"),
    "mkdir existing": lambda: os.mkdir("file"),
    "mkdir below a file": lambda: os.mkdir("file/new"),
    "symlink": lambda: os.symlink("target", "new"),
    "symlink existing": lambda: os.symlink("target", "dir"),
    "mknod": lambda: os.mknod("new", stat.S_IFIFO | 0o600),
    "mknod existing": lambda: os.mknod("file", stat.S_IFIFO | 0o600),
    "link": lambda: os.link("file", "new"),
    "link existing": lambda: os.link("file", "dir"),
    "unlink": lambda: os.unlink("file"),
    "unlink missing": lambda: os.unlink("new"),
    "unlink directory": lambda: os.unlink("dir"),
    "unlink below a file": lambda: os.unlink("file/new"),
    "rmdir": lambda: os.rmdir("dir"),
    "rmdir file": lambda: os.rmdir("file"),
    "rename": lambda: os.rename("file", "new"),
    "rename missing": lambda: os.rename("new", "file"),
    "rename into a file": lambda: os.rename("file", "file/new"),
    "chmod": lambda: os.chmod("file", 0o600),
    "chown": lambda: os.chown("file", 0, 0),
    "utime": lambda: os.utime("file", (1, 1)),
    "truncate": lambda: os.truncate("file", 0),
    "truncate directory": lambda: os.truncate("dir", 0),
    "setxattr": lambda: os.setxattr("file", "user.a", b"1"),
    "removexattr": lambda: os.removexattr("file", "user.none"),
    "getxattr": lambda: os.getxattr("file", "user.none"),
    "readlink": lambda: os.readlink("link"),
    "readlink file": lambda: os.readlink("file"),
}


def answer(operation: Callable[[], object]) -> int:
    """The errno, or 0."""
    try:
        operation()
    except OSError as error:
        return error.errno or 0
    return 0


def main() -> None:
    """Mount, try everything, print."""
    folder = sys.argv[1]
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
    os.chdir(folder)
    print(json.dumps({name: answer(operation) for name, operation in OPERATIONS.items()}))


if __name__ == "__main__":
    main()
