"""``cp -a`` and ``tar`` of a tree with every kind of file, there and back, compared.

The tree is made on the guest's tmpfs.  Each copy must have the same content and metadata, as far
as the dialect can carry it: 9P2000.u has no extended attributes and no link counts.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys

import manifest  # type: ignore[import-not-found]  # init's PYTHONPATH leads to it

SOURCE = "/tmp/tree"
DOTL = os.environ["DIALECT"] == "9p2000.L"
NANOSECONDS = 1_234_567_890_123_456_789


def make_tree() -> None:
    """Every kind of file but devices."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    os.makedirs(f"{SOURCE}/directory/below/it")
    write("regular", b"regular\n" * 5000)
    write("empty", b"")
    write("directory/below/it/file", b"deep")
    write("read-only", b"read-only", 0o400)
    write("setuid", b"#!/bin/sh\n", 0o4755)
    write("setgid", b"#!/bin/sh\n", 0o2755)
    write(b"n" * 255, b"the longest name")
    write(b"not UTF-8 \xff\xfe", b"any bytes are a name")
    write(b"spaces, \n newline, \\ backslash and \x01", b"odd")
    os.mkdir(f"{SOURCE}/sticky")
    os.chmod(f"{SOURCE}/sticky", 0o1777)
    os.symlink("regular", f"{SOURCE}/link")
    os.symlink("nowhere/at/all", f"{SOURCE}/dangling")
    os.symlink("/etc/passwd", f"{SOURCE}/absolute")
    os.symlink("x" * 1000, f"{SOURCE}/long")
    os.link(f"{SOURCE}/regular", f"{SOURCE}/directory/hard")
    os.mkfifo(f"{SOURCE}/fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{SOURCE}/socket")
    with open(f"{SOURCE}/sparse", "wb") as sparse:
        for megabyte in (0, 10, 19):
            sparse.seek(megabyte << 20)
            sparse.write(b"data")
        sparse.truncate(20 << 20)
    for folder, directories, files in os.walk(SOURCE, topdown=False):
        for name in directories + files:
            path = os.path.join(folder, name)
            os.utime(path, ns=(NANOSECONDS, NANOSECONDS), follow_symlinks=False)


def write(name: str | bytes, content: bytes, mode: int = 0o644) -> None:
    """A file in the source."""
    path = os.path.join(os.fsencode(SOURCE), os.fsencode(name))
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, mode)


def compare(copy: str, what: str) -> None:
    """Print every difference, and stop where there is one."""
    # Linux's client sets times in whole seconds (the default ``s_time_gran`` of a superblock).
    options = {"times": "s", "links": False, "owners": os.environ["OWNERS"] == "1"}
    wanted = manifest.lines(os.fsencode(SOURCE), **options)
    found = manifest.lines(os.fsencode(copy), **options)
    if wanted != found:
        print(f"{what}: the copy differs (- wanted, + found)")
        print("\n".join(f"- {line}" for line in wanted if line not in found))
        print("\n".join(f"+ {line}" for line in found if line not in wanted))
        sys.exit(1)
    print(f"{what}: {len(found)} files, the same")


def run(*command: str) -> None:
    """Run it, and stop where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stderr}")


def links_and_holes(copy: str) -> None:
    """Hard links are one file, and a sparse copy takes little space."""
    first, second = os.stat(f"{copy}/regular"), os.stat(f"{copy}/directory/hard")
    assert first.st_ino == second.st_ino, "a hard link arrived as two files"
    if DOTL:
        assert first.st_nlink == 2, first
        assert os.stat(f"{copy}/sparse").st_blocks * 512 < 4 << 20, "the sparse file is not sparse"


def attributes() -> None:
    """Extended attributes: set, listed, copied by cp and tar, removed."""
    os.setxattr("copied/regular", "user.colour", b"blue \0 and green")
    os.setxattr("copied/regular", "user.empty", b"")
    os.setxattr("copied/directory", "user.large", b"x" * 3000)
    run("cp", "-a", "copied/regular", "copied/again")
    run("tar", "--xattrs", "-C", "copied", "-cf", "/tmp/with.tar", "regular", "directory")
    os.mkdir("attributes")
    run("tar", "--xattrs", "-C", "attributes", "-xf", "/tmp/with.tar")
    for path in ("copied/again", "attributes/regular"):
        assert os.getxattr(path, "user.colour") == b"blue \0 and green"
        assert os.getxattr(path, "user.empty") == b""
        assert sorted(name for name in os.listxattr(path) if name.startswith("user.")) == [
            "user.colour",
            "user.empty",
        ]
    assert os.getxattr("attributes/directory", "user.large") == b"x" * 3000
    os.removexattr("copied/again", "user.colour")
    assert "user.colour" not in os.listxattr("copied/again")
    print("extended attributes: copied by cp -a and tar --xattrs")


def no_attributes() -> None:
    """Where Dom0's file system has no extended attributes, the share says so."""
    try:
        os.setxattr("copied/regular", "user.colour", b"blue")
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        print("extended attributes: refused, as Dom0's file system has none")
    else:
        sys.exit("extended attributes: taken, and Dom0's file system has none")


def devices() -> None:
    """Device nodes: refused, or made as asked (QEMU as root does)."""
    try:
        os.mknod("device", 0o20600, os.makedev(1, 3))
    except OSError as error:
        print(f"device nodes: {error.strerror}")
    else:
        print(f"device nodes: made, {oct(os.lstat('device').st_mode)}")
        os.unlink("device")


def main() -> None:
    """There with cp and tar, back with both."""
    make_tree()
    run("cp", "-a", SOURCE, "copied")
    compare("copied", "cp -a to the share")
    links_and_holes("copied")
    # tar carries no sockets, and says so.
    os.unlink(f"{SOURCE}/socket")
    os.utime(SOURCE, ns=(NANOSECONDS, NANOSECONDS))
    run("tar", "--format=posix", "--sparse", "-C", SOURCE, "-cf", "/tmp/tree.tar", ".")
    os.mkdir("extracted")
    run("tar", "-C", "extracted", "-xpf", "/tmp/tree.tar")
    compare("extracted", "tar to the share")
    run("cp", "-a", "extracted", "/tmp/back")
    compare("/tmp/back", "cp -a from the share")
    run("tar", "--format=posix", "-C", "extracted", "-cf", "/tmp/again.tar", ".")
    shutil.rmtree("/tmp/back")
    os.mkdir("/tmp/back")
    run("tar", "-C", "/tmp/back", "-xpf", "/tmp/again.tar")
    compare("/tmp/back", "tar from the share")
    shutil.rmtree("/tmp/back")
    if DOTL and os.environ["ATTRIBUTES"] == "1":
        attributes()
    elif DOTL:
        no_attributes()
    devices()


main()
