"""What hostile Python would try inside a worker.  Each attack returns if it gets through.

A few at the end are no attacks: they tell what the inmate is, or do what a guest may ask for.

``ground`` is what it finds: the share's tree, and paths and numbers that the test made for it.
What is imported here is imported before the walls go up, as an attacker's own code would be.
"""

from __future__ import annotations

import ctypes
import encodings.idna  # noqa: F401 -- socket wants it for any address
import errno
import mmap
import os
import platform
import resource
import signal
import socket
import stat
import time
from typing import TYPE_CHECKING, Any

from backend.confinement import libc as backend_libc
from backend.fileserver.files import NOBODY, Changes, Device, Owner
from backend.fileserver.syscalls import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.fileserver.tree import Tree
    from tests.backend.confinement.service import Service

libc = ctypes.CDLL(None, use_errno=True)

_X86 = platform.machine() == "x86_64"
NUMBERS = {
    # x86-64, and the generic table that arm64 uses
    name: pair[0] if _X86 else pair[1]
    for name, pair in {
        "bpf": (321, 280),
        "capset": (126, 91),
        "keyctl": (250, 219),
        "userfaultfd": (323, 282),
        "io_uring_setup": (425, 425),
        "init_module": (175, 105),
        "perf_event_open": (298, 241),
        "unshare": (272, 97),
        "open_tree": (428, 428),
    }.items()
}


class Ground:
    """What an attack finds around it."""

    def __init__(self, tree: Tree, service: Service, known: dict[str, Any]) -> None:
        self.tree = tree
        self.service = service
        self.root: int = tree.root.fd
        self.known = known

    def __getattr__(self, name: str) -> Any:
        return self.known[name]


def call(name: str, *arguments: Any) -> int:
    """A system call by number; only what the kernel refuses as such is a failure."""
    ctypes.set_errno(0)
    result: int = libc.syscall(NUMBERS[name], *arguments)
    if result < 0 and ctypes.get_errno() in (errno.ENOSYS, errno.EPERM, errno.EACCES):
        raise OSError(ctypes.get_errno(), name)
    return result


def checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


# Files of Dom0.


def _read(path: str, dir_fd: int | None = None) -> None:
    fd = os.open(path, os.O_RDONLY, dir_fd=dir_fd)
    assert os.read(fd, 100)


def read_by_path(ground: Ground) -> None:
    _read(ground.secret)


def read_by_climbing(ground: Ground) -> None:
    _read("../" * 40 + ground.secret, ground.root)


def read_by_root_of_init(ground: Ground) -> None:
    _read(f"/proc/{ground.parent}/root{ground.secret}")


def read_by_own_root(ground: Ground) -> None:
    _read(f"/proc/self/root{ground.secret}")


def read_by_link(ground: Ground) -> None:
    _read("link", ground.root)


def read_by_any_directory(ground: Ground) -> None:
    """Every descriptor that the process still has is tried as a way up."""
    for fd in range(3, 64):
        try:
            _read("../" * 40 + ground.secret, fd)
        except OSError:
            continue
        return
    raise OSError(errno.ENOENT, "none leads there")


def read_by_handle(ground: Ground) -> None:
    """A file is opened by its number; the mount to look on is any directory of ours."""
    below = os.open(".", os.O_RDONLY, dir_fd=ground.root)
    handle = ctypes.create_string_buffer(bytes.fromhex(ground.handle))
    fd = checked(libc.open_by_handle_at(below, handle, os.O_RDONLY))
    assert os.read(fd, 100)


def read_a_neighbour(ground: Ground) -> None:
    _read(ground.neighbour)


def write_a_neighbour(ground: Ground) -> None:
    os.close(os.open(ground.neighbour, os.O_WRONLY))


def chmod_a_neighbour(ground: Ground) -> None:
    os.chmod(ground.neighbour, 0o600)


def write_below_read_only(ground: Ground) -> None:
    os.close(os.open("new", os.O_WRONLY | os.O_CREAT, dir_fd=ground.root))


def make_a_device(ground: Ground) -> None:
    os.mknod("zero", stat.S_IFCHR | 0o600, os.makedev(1, 5), dir_fd=ground.root)
    os.unlink("zero", dir_fd=ground.root)


def mount(ground: Ground) -> None:
    # On a directory of the test's: without walls, it is the prison's mount namespace that sees it.
    checked(libc.mount(b"none", os.fsencode(ground.mountpoint), b"tmpfs", 0, None))
    libc.umount2(os.fsencode(ground.mountpoint), 0)


def unshare_a_user_namespace(ground: Ground) -> None:
    call("unshare", 0x1000_0000)


# Sockets.


def reach_tcp(ground: Ground) -> None:
    socket.socket().connect(("127.0.0.1", ground.port))


def reach_unix(ground: Ground) -> None:
    socket.socket(socket.AF_UNIX).connect(ground.socket)


def reach_abstract(ground: Ground) -> None:
    socket.socket(socket.AF_UNIX).connect("\0" + ground.abstract)


def reach_netlink(ground: Ground) -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).bind((0, 0))


# Processes.


def fork(ground: Ground) -> None:
    if not (child := os.fork()):
        os._exit(0)
    os.waitpid(child, 0)


def vfork(ground: Ground) -> None:
    # CLONE_VM, CLONE_VFORK: what vfork(2) and posix_spawn(3) of C libraries do.
    child = os.posix_spawn("/bin/true", ["true"], {})
    assert os.waitpid(child, 0)[1] == 0


def execute(ground: Ground) -> None:
    os.execv("/bin/true", ["true"])  # noqa: S606 -- the attack


def signal_the_parent(ground: Ground) -> None:
    os.kill(ground.parent, 0)


def signal_the_parent_by_pidfd(ground: Ground) -> None:
    signal.pidfd_send_signal(os.pidfd_open(ground.parent), 0)


def trace_the_parent(ground: Ground) -> None:
    seize = 0x4206
    checked(libc.ptrace(seize, ground.parent, None, None))


# Rights.


def become_another_user(ground: Ground) -> None:
    os.setresuid(12345, 12345, 12345)


def regain_capabilities(ground: Ground) -> None:
    sys_admin = 1 << 21
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(sys_admin, sys_admin, 0, 0, 0, 0)
    call("capset", header, data)


def execute_with_roots_power(ground: Ground) -> None:
    """A program of root's that is started may do what root may: here, read anything."""
    os.execv("/usr/bin/head", ["head", "-c0", ground.only_roots])  # noqa: S606 -- the attack


def execute_a_setuid_program(ground: Ground) -> None:
    os.setresuid(12345, 12345, 12345)
    os.execv(ground.setuid, ["head", "-c0", ground.only_roots])  # noqa: S606 -- the attack


def make_memory_executable(ground: Ground) -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def dump(ground: Ground) -> None:
    """Others of the same user may look into us, and a crash writes a core file."""
    if not checked(libc.prctl(3, 0, 0, 0, 0)):
        raise OSError(errno.EPERM, "not dumpable")


def grow(ground: Ground) -> None:
    mmap.mmap(-1, 16 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)


# Corners of the kernel.


def bpf(ground: Ground) -> None:
    call("bpf", 0, None, 0)


def keyctl(ground: Ground) -> None:
    call("keyctl", 0, -3, 0, 0, 0)


def userfaultfd(ground: Ground) -> None:
    call("userfaultfd", 1)


def io_uring(ground: Ground) -> None:
    call("io_uring_setup", 1, ctypes.create_string_buffer(120))


def load_a_module(ground: Ground) -> None:
    call("init_module", ctypes.create_string_buffer(64), 64, b"")


def perf(ground: Ground) -> None:
    call("perf_event_open", None, 0, -1, -1, 0)


def clone_mounts(ground: Ground) -> None:
    call("open_tree", ground.root, b"", 1 | 0x1000)


# Not attacks.


def identity(ground: Ground) -> dict[str, Any]:
    sets = backend_libc.capabilities()
    return {
        "uids": os.getresuid(),
        "gids": os.getresgid(),
        "groups": os.getgroups(),
        "capabilities": [number for number in range(64) if sets.permitted >> number & 1],
        "effective": sets.effective == sets.permitted and not sets.inheritable,
    }


def limits(ground: Ground) -> dict[str, int]:
    numbers = {"core": resource.RLIMIT_CORE, "memlock": resource.RLIMIT_MEMLOCK}
    return {name: resource.getrlimit(number)[1] for name, number in numbers.items()}


def descriptors(ground: Ground) -> list[str]:
    return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in range(64) if _is_open(fd))


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def view(ground: Ground) -> dict[str, Any]:
    """All that can be reached by name."""
    return {
        "/": os.listdir("/"),
        "/proc": os.listdir("/proc"),
        "/proc/self": os.listdir("/proc/self"),
        "cwd": os.getcwd(),
        "above the root": os.path.sameopenfile(
            ground.root, os.open("..", os.O_PATH, dir_fd=ground.root)
        ),
    }


def see_proc(ground: Ground) -> bool:
    """Whether ``/proc`` is the kernel's, with the process in it that started this one."""
    return os.path.exists(f"/proc/{ground.parent}")


def serve(ground: Ground) -> list[str]:
    return ground.service.run()


def name_files(ground: Ground) -> list[str]:
    """What a stub domain does with its state file, and a look for its neighbours'."""
    tree, root = ground.tree, ground.tree.root
    _node, file = tree.create(root, b"state", os.O_WRONLY, 0o660, NOBODY)
    assert file.write([memoryview(b"data")], 0) == 4
    os.fsync(file.fileno())
    file.close()
    tree.unlink(root, b"state", directory=False)
    return [entry.name.decode() for entry in tree.open(root, os.O_RDONLY).entries(0)]


def follow_dom0(ground: Ground) -> list[list[str]]:
    """A directory on which Dom0 has something mounted, and the same when it is unmounted."""
    seen = [os.listdir(os.open("below", os.O_RDONLY, dir_fd=ground.root))]
    os.write(ground.report, b"\n")
    deadline = time.monotonic() + 20
    while len(seen) == 1 and time.monotonic() < deadline:
        below = os.open("below", os.O_RDONLY, dir_fd=ground.root)
        if (found := os.listdir(below)) != seen[0]:
            seen.append(found)
        os.close(below)
    return seen


def unlisted(ground: Ground) -> int:
    """The errno of a call that nobody thought of."""
    return -1 if libc.sysinfo(ctypes.create_string_buffer(128)) == 0 else ctypes.get_errno()


def work(ground: Ground) -> list[str]:
    """What a guest does with a share, by the tree's own operations."""
    tree, root = ground.tree, ground.tree.root
    node, file = tree.create(root, b"made", os.O_RDWR, 0o640, Owner(os.getuid(), os.getgid()))
    assert file.write([memoryview(b"data")], 0) == 4
    os.fsync(file.fileno())
    tree.mkdir(root, b"folder", 0o755, NOBODY)
    tree.symlink(root, b"sym", b"../../..", NOBODY)
    tree.mknod(root, b"fifo", stat.S_IFIFO | 0o600, Device(0, 0), NOBODY)
    folder = tree.lookup(root, b"folder")
    tree.link(node, folder, b"linked")
    tree.link(tree.lookup(root, b"sym"), folder, b"second")
    tree.rename(root, b"sym", folder, b"sym")
    tree.setattr(node, file, Changes(mode=0o600, size=2, atime=NOW, mtime=NOW))
    try:
        tree.xattr_set(node, b"user.x", b"1", 0)
        assert tree.xattr_get(node, b"user.x") == b"1"
    except OSError as error:
        assert error.errno == errno.EOPNOTSUPP  # noqa: PT017 -- not every file system has them
    assert tree.parent(folder).qid.path == root.qid.path
    assert tree.readlink(tree.lookup(folder, b"sym")) == b"../../.."
    tree.statfs(root)
    listing = tree.open(root, os.O_RDONLY)
    found = sorted(entry.name.decode() for entry in listing.entries(0))
    for name in (b"made", b"fifo"):
        tree.unlink(root, name, directory=False)
    for name in (b"linked", b"second", b"sym"):
        tree.unlink(folder, name, directory=False)
    tree.unlink(root, b"folder", directory=True)
    return found


ATTACKS: dict[str, Callable[[Ground], Any]] = {
    name: attack
    for name, attack in list(globals().items())
    if getattr(attack, "__code__", None) and attack.__code__.co_varnames[:1] == ("ground",)
}
