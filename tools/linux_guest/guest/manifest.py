"""What a tree holds, as lines that two sides can compare: run in the guest and in Dom0 alike.

A line is a path, its kind and what of it must agree: permissions, size, content (SHA-256 for a
file, the target for a link), and where asked modification time, owners and number of links.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import stat
import sys


def lines(root: bytes, *, times: str = "ns", links: bool = True, owners: bool = True) -> list[str]:
    """The manifest of everything below ``root``, sorted.  ``times``: ``ns``, ``s`` or ``no``."""
    found = []
    for folder, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(folder, name)
            found.append(_line(path, root, times=times, links=links, owners=owners))
    return sorted(found)


def _line(path: bytes, root: bytes, *, times: str, links: bool, owners: bool) -> str:
    status = os.lstat(path)
    shown = os.path.relpath(path, root).decode("latin-1")
    parts = [ascii(shown), stat.filemode(status.st_mode)]
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            digest = hashlib.sha256()
            while data := file.read(1 << 20):
                digest.update(data)
        parts += [f"{status.st_size}", digest.hexdigest()[:16]]
    elif stat.S_ISLNK(status.st_mode):
        parts.append(ascii(os.readlink(path).decode("latin-1")))
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        parts.append(f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")
    if times == "ns":
        parts.append(f"mtime={status.st_mtime_ns}")
    elif times == "s":
        parts.append(f"mtime={int(status.st_mtime)}")
    if links:
        parts.append(f"links={status.st_nlink}")
    if owners:
        parts.append(f"owner={status.st_uid}:{status.st_gid}")
    return " ".join(parts)


def main() -> None:
    """Print the manifest of a directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=os.fsencode)
    parser.add_argument("--times", choices=["ns", "s", "no"], default="ns")
    parser.add_argument("--no-links", dest="links", action="store_false")
    parser.add_argument("--no-owners", dest="owners", action="store_false")
    asked = parser.parse_args()
    options = {"times": asked.times, "links": asked.links, "owners": asked.owners}
    sys.stdout.write("".join(f"{line}\n" for line in lines(asked.root, **options)))


if __name__ == "__main__":
    main()
