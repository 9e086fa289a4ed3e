"""fcntl and flock between processes of one mount, and between two clients of the share.

The second client is a second mount (``$OTHER``).
"""

import fcntl
import os
import struct

PATHS = ["lock", os.path.join(os.environ["OTHER"], "lock")]


def in_child(path: str, kind: str, exclusive: bool, wait: bool = False) -> int:
    """Try a lock in another process; 0 where it was had."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    file = os.open(path, os.O_RDWR)
    operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        if kind == "flock":
            fcntl.flock(file, operation | (0 if wait else fcntl.LOCK_NB))
        else:
            fcntl.lockf(file, operation | (0 if wait else fcntl.LOCK_NB), 10, 5)
    except BlockingIOError:
        os._exit(1)
    os._exit(0)


def holder(path: str) -> tuple[int, int, int]:
    """F_GETLK of the first byte, asked by another process: type, start, length."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        found = fcntl.fcntl(os.open(path, os.O_RDWR), fcntl.F_GETLK, asked)
        kind, _, start, length, _ = struct.unpack("hhqqi4x", found)
        os.write(writer, struct.pack("hqq", kind, start, length))
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    kind, start, length = struct.unpack("hqq", os.read(reader, 100))
    os.close(reader)
    return kind, start, length


def records(file: int, path: str) -> None:
    """fcntl: ranges that overlap conflict, others do not; a reader admits readers."""
    fcntl.lockf(file, fcntl.LOCK_EX, 15, 0)
    assert in_child(path, "fcntl", exclusive=True) == 1, "an overlapping range was locked twice"
    assert holder(path) == (fcntl.F_WRLCK, 0, 15), holder(path)
    fcntl.lockf(file, fcntl.LOCK_UN, 10, 5)
    assert in_child(path, "fcntl", exclusive=True) == 0, "an unlocked range is not free"
    fcntl.lockf(file, fcntl.LOCK_UN)
    assert holder(path)[0] == fcntl.F_UNLCK
    fcntl.lockf(file, fcntl.LOCK_SH)
    assert in_child(path, "fcntl", exclusive=False) == 0, "two readers exclude each other"
    assert in_child(path, "fcntl", exclusive=True) == 1, "a writer came in beside a reader"
    fcntl.lockf(file, fcntl.LOCK_UN)


def whole_files(file: int, path: str) -> None:
    """flock: the same for the whole file."""
    fcntl.flock(file, fcntl.LOCK_EX)
    assert in_child(path, "flock", exclusive=False) == 1, "flock was had twice"
    fcntl.flock(file, fcntl.LOCK_UN)
    fcntl.flock(file, fcntl.LOCK_SH)
    assert in_child(path, "flock", exclusive=False) == 0
    assert in_child(path, "flock", exclusive=True) == 1
    fcntl.flock(file, fcntl.LOCK_UN)
    assert in_child(path, "flock", exclusive=True) == 0


def waiting(unlocked: int, path: str) -> None:
    """A lock that is waited for comes when its holder goes, even without unlocking."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(unlocked)  # execve would, and closing any descriptor of a file drops its locks
        file = os.open("lock", os.O_RDWR)
        os.set_inheritable(file, True)
        fcntl.lockf(file, fcntl.LOCK_EX)
        os.write(writer, b"x")
        os.execvp("sleep", ["sleep", "1"])
    os.read(reader, 1)
    assert in_child(path, "fcntl", exclusive=True) == 1
    assert in_child(path, "fcntl", exclusive=True, wait=True) == 0
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)


def main() -> None:
    """All of it, against the same mount and the other one."""
    file = os.open("lock", os.O_RDWR | os.O_CREAT)
    os.write(file, bytes(100))
    os.fsync(file)
    for path in PATHS:
        records(file, path)
        whole_files(file, path)
        waiting(file, path)
    os.close(file)
    print(f"fcntl and flock against {len(PATHS)} mount(s)")


main()
