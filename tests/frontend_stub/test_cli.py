"""``xen-fileproxy-front`` as a script sees it: output, exit codes, signals, pipes."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import random
import select
import signal
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

import pytest

from frontend_stub.cli import COMMANDS
from tools.testbed import BIN, Testbed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DOMID = 5
PROGRAM = str(BIN / "xen-fileproxy-front")
TIMEOUT = 60.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Testbed, Path]]:
    """One supervisor for all of this file; closing it fails on whatever is left over."""
    path = tmp_path_factory.mktemp("export")
    with Testbed() as bed:
        bed.guest(DOMID, path, tag="state")
        yield bed, path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The file server on a socket: for what does not depend on the rings, and quicker."""
    path = tmp_path_factory.mktemp("served")
    with tempfile.TemporaryDirectory(prefix="xen-fileproxy-") as directory:
        address = f"unix:{directory}/socket"
        with subprocess.Popen(
            [str(BIN / "xen-fileproxy"), "serve", "--path", str(path), "--listen", address]
        ) as server:
            _until(server, lambda: os.path.exists(f"{directory}/socket"))
            yield address, path
            server.terminate()
            assert server.wait(TIMEOUT) == 0


def _until(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    """Wait until ``ready()``, which has no event of its own; the process's end is one."""
    gone = os.pidfd_open(process.pid)
    deadline = time.monotonic() + TIMEOUT
    try:
        while not ready():
            ended, _, _ = select.select([gone], [], [], 0.01)
            assert not ended, "the process has ended"
            assert time.monotonic() < deadline
    finally:
        os.close(gone)


class Front:
    """The command line with what it takes to connect, and the folder that it sees."""

    def __init__(self, export: Path, *options: str, **environment: str) -> None:
        self.export = export
        self.options = options
        self.environment = os.environ | environment

    def run(self, *arguments: str | Path, data: bytes | None = None) -> tuple[int, bytes, str]:
        """Exit code, standard output, standard error."""
        done = subprocess.run(
            [PROGRAM, *self.options, *map(str, arguments)],
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
            env=self.environment,
        )
        text = done.stderr.decode()
        assert "Traceback" not in text
        return done.returncode, done.stdout, text

    def ok(self, *arguments: str | Path, data: bytes | None = None) -> bytes:
        """Standard output of what must succeed, silently."""
        code, out, err = self.run(*arguments, data=data)
        assert (code, err) == (0, "")
        return out

    def start(
        self,
        *arguments: str,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """The command in the background; Ctrl-C reaches it, whoever started the tests."""
        # A signal that is ignored stays ignored in a new program, one with a handler does not.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [PROGRAM, *self.options, *arguments],
                env=self.environment,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
            )
        finally:
            signal.signal(signal.SIGINT, before)


@pytest.fixture
def guest(running: tuple[Testbed, Path]) -> Front:
    """In domain 5, over rings."""
    bed, export = running
    return Front(export, XEN_FILEPROXY_PLATFORM=bed.platform, XEN_FILEPROXY_DOMID=str(DOMID))


@pytest.fixture
def client(served: tuple[str, Path]) -> Front:
    """Over a socket."""
    address, export = served
    return Front(export, "--connect", address)


def test_a_state_file_goes_out_and_comes_back(guest: Front, tmp_path: Path) -> None:
    data = random.Random(3).randbytes(3_000_001)
    digest = hashlib.sha256(data).hexdigest()
    out = json.loads(guest.ok("put", "--json", "--sha256", "-", "saved", data=data))
    assert out["bytes"] == len(data)
    assert (out["source"], out["target"], out["sha256"]) == ("-", "saved", digest)
    assert out["seconds"] > 0
    assert (guest.export / "saved").read_bytes() == data
    code, got, err = guest.run("get", "--json", "--sha256", "saved", "-")
    assert code == 0
    assert got == data
    assert json.loads(err)["sha256"] == digest
    back = json.loads(guest.ok("get", "--json", "saved", tmp_path / "back"))
    assert back["bytes"] == len(data)
    assert "sha256" not in back
    assert (tmp_path / "back").read_bytes() == data
    assert guest.ok("cat", "saved", "saved") == data * 2
    assert guest.ok("put", "--sha256", tmp_path / "back").decode() == f"{digest}  {tmp_path}/back\n"
    assert (guest.export / "back").read_bytes() == data


def test_a_shorter_file_leaves_nothing_of_a_longer_one(client: Front) -> None:
    client.ok("put", "-", "again", data=b"x" * 1_000_000)
    client.ok("put", "--no-fsync", "-", "again", data=b"short")
    assert (client.export / "again").read_bytes() == b"short"
    client.ok("put", "-", "again", data=b"")
    assert client.ok("cat", "again") == b""


def test_listing(client: Front) -> None:
    (client.export / "list/sub").mkdir(parents=True)
    (client.export / "list/file").write_bytes(b"12345")
    (client.export / "list/file").chmod(0o640)
    (client.export / "list/ö").write_bytes(b"")
    (client.export / os.fsdecode(b"list/\xff")).write_bytes(b"")
    assert client.ok("ls", "list") == b"file\nsub\n\xc3\xb6\n\xff\n"
    long = client.ok("ls", "-l", "list").decode(errors="surrogateescape").splitlines()
    assert long[0].startswith("-rw-r----- ")
    assert long[0].endswith(" file")
    assert long[1].startswith("d")
    shown = json.loads(client.ok("ls", "--json", "list"))
    assert [entry["name"] for entry in shown] == ["file", "sub", "ö", "\udcff"]
    assert (shown[0]["size"], shown[0]["mode"], shown[0]["type"]) == (5, "0640", "file")
    both = client.ok("ls", "list/file", "list/sub").decode().splitlines()
    assert both == ["list/file:", "list/file", "list/sub:"]
    assert json.loads(client.ok("ls", "--json", "list/file", "list/sub"))["list/sub"] == []


def test_stat_and_df(client: Front) -> None:
    (client.export / "about").write_bytes(b"123")
    real = (client.export / "about").stat()
    shown = json.loads(client.ok("stat", "--json", "about"))
    assert (shown["size"], shown["mtime_ns"], shown["uid"]) == (3, real.st_mtime_ns, real.st_uid)
    assert [e["type"] for e in json.loads(client.ok("stat", "--json", "about", "/"))] == [
        *("file", "directory")
    ]
    assert b"size: 3 bytes" in client.ok("stat", "about")
    figures = json.loads(client.ok("df", "--json"))
    assert 0 < figures["available"] <= figures["total"]
    assert b"available: " in client.ok("df")


def test_names_change(client: Front) -> None:
    client.ok("mkdir", "dir")
    code, _, err = client.run("mkdir", "dir")
    assert (code, err) == (1, "xen-fileproxy-front: mkdir: dir: File exists\n")
    client.ok("mkdir", "-p", "dir/a/b")
    client.ok("put", "-", "dir/file", data=b"x")
    client.ok("mv", "dir/file", "dir/a")
    assert client.ok("ls", "dir/a") == b"b\nfile\n"
    client.ok("mv", "dir/a/file", "dir/renamed")
    client.ok("rm", "dir/renamed")
    code, _, err = client.run("rm", "dir/renamed")
    assert (code, err) == (1, "xen-fileproxy-front: rm: dir/renamed: No such file or directory\n")
    client.ok("rm", "-f", "dir/renamed")
    code, _, err = client.run("rm", "dir")
    assert (code, err) == (1, "xen-fileproxy-front: rm: dir: Is a directory\n")
    client.ok("rm", "-r", "dir")
    assert not (client.export / "dir").exists()


def test_trees(client: Front, tmp_path: Path) -> None:
    for name in ("1", "a/2", "a/b/3"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(name.encode() * 1000)
    sent = json.loads(client.ok("put", "-r", "--json", tmp_path / "tree"))
    assert sorted(entry["target"] for entry in sent) == ["/tree/1", "/tree/a/2", "/tree/a/b/3"]
    got = json.loads(client.ok("get", "-r", "--json", "tree", tmp_path / "copy"))
    assert len(got) == 3
    for name in ("1", "a/2", "a/b/3"):
        assert (tmp_path / "copy" / name).read_bytes() == name.encode() * 1000
    client.ok("get", "-r", "tree/a", tmp_path)
    assert (tmp_path / "a/b/3").exists()
    code, _, err = client.run("get", "-r", "tree", "-")
    assert code == 1
    assert "a directory cannot go to standard output" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("get", "none"), "get: none: No such file or directory"),
        (("cat", "/none/below"), "cat: /none/below: No such file or directory"),
        (("put", "/none/local", "x"), "put: /none/local: No such file or directory"),
        (("put", "/", "x"), "put: /: Is a directory"),
        (("put", "-", "dir/"), "put: dir/: what comes from standard input needs a name"),
        (("rm", "-r", "/"), "rm: /: a name is needed, not the root or '..'"),
        (("ls", "n" * 256), "ls: " + "n" * 256 + ": File name too long"),
        (("mv", "none", "other"), "mv: none -> other: No such file or directory"),
        (("get", "none", "/none/dir/file"), "get: /none/dir: No such file or directory"),
    ],
)
def test_a_failure_is_one_line_that_names_its_object(
    client: Front, arguments: tuple[str, ...], message: str
) -> None:
    assert client.run(*arguments) == (1, b"", f"xen-fileproxy-front: {message}\n")


def test_a_full_local_disk_names_the_local_file(client: Front) -> None:
    (client.export / "big").write_bytes(bytes(100_000))
    code, _, err = client.run("get", "big", "/dev/full")
    assert (code, err) == (1, "xen-fileproxy-front: get: /dev/full: No space left on device\n")


@pytest.mark.parametrize(
    ("rings", "order"), [("1", "4"), ("1", "9"), ("2", "1"), ("9", "1"), ("9", "9")]
)
def test_any_number_of_rings_of_any_order(guest: Front, rings: str, order: str) -> None:
    data = random.Random(4).randbytes(300_000)
    shape = ("--rings", rings, "--order", order)
    guest.ok(*shape, "put", "-", "shape", data=data)
    assert guest.ok(*shape, "cat", "shape") == data


def test_msize_and_window(guest: Front) -> None:
    data = random.Random(5).randbytes(100_000)
    guest.ok("--msize", "4096", "put", "--window", "32", "-", "small", data=data)
    assert guest.ok("--msize", "5000", "get", "--window", "1", "small", "-") == data


def test_which_device(guest: Front) -> None:
    guest.ok("--tag", "state", "ls")
    guest.ok("--device", "0", "ls")
    for arguments in (("--tag", "other"), ("--device", "7")):
        code, _, err = guest.run(*arguments, "ls")
        assert code == 3
        assert "no 9pfs device with" in err
        assert "0 (tag state)" in err


def test_verbose_says_what_is_connected(guest: Front) -> None:
    code, _, err = guest.run("-v", "ls")
    assert code == 0
    assert "9pfs device 0 of domain 5: msize 524288" in err


def test_the_command_line_beats_the_environment(guest: Front) -> None:
    code, _, err = guest.run("--domid", "6", "ls")
    assert code == 3
    assert "cannot connect" in err
    code, _, err = guest.run("--platform", "embedded:/nowhere", "ls")
    assert code == 3
    assert "embedded:/nowhere" in err


def test_what_a_killed_predecessor_left_is_no_hindrance(guest: Front) -> None:
    for number in range(2):
        with guest.start("put", "-", f"killed-{number}", stdin=subprocess.PIPE) as victim:
            assert victim.stdin is not None
            victim.stdin.write(bytes(2_000_000))
            victim.stdin.flush()
            _until(victim, (guest.export / f"killed-{number}").exists)
            victim.kill()
        guest.ok("rm", f"killed-{number}")


def test_a_second_process_waits_for_the_first(guest: Front) -> None:
    with guest.start("put", "-", "first", stdin=subprocess.PIPE) as first:
        assert first.stdin is not None
        first.stdin.write(b"x" * 100_000)
        first.stdin.flush()
        _until(first, (guest.export / "first").exists)
        with guest.start("cat", "first", stdout=subprocess.PIPE) as second:
            first.stdin.close()
            assert first.wait(TIMEOUT) == 0
            assert second.stdout is not None
            assert second.stdout.read() == b"x" * 100_000
            assert second.wait(TIMEOUT) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order(
    guest: Front, running: tuple[Testbed, Path], number: signal.Signals, code: int
) -> None:
    name = f"signal-{code}"
    with guest.start("put", "-", name, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        _until(process, (guest.export / name).exists)
        process.send_signal(number)
        assert process.wait(TIMEOUT) == code
        assert process.stderr is not None
        assert process.stderr.read() == b""
    # The device was closed in order: nothing is left for the next one to shut down.
    store = running[0].hypervisor.platform(DOMID).store()
    assert store.read("device/9pfs/0/state") == b"6"
    store.close()


def test_a_signal_during_get_leaves_no_temporary_file(client: Front, tmp_path: Path) -> None:
    (client.export / "long").write_bytes(b"")
    os.truncate(client.export / "long", 1 << 34)
    target = tmp_path / "target"
    target.mkdir()
    with client.start("get", "long", str(target / "long")) as process:
        _until(process, lambda: bool(os.listdir(target)))
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 130
    assert os.listdir(target) == []
    (client.export / "long").unlink()


def test_a_reader_that_has_enough_is_no_error_message(client: Front) -> None:
    (client.export / "much").write_bytes(bytes(8_000_000))
    with client.start("cat", "much", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(TIMEOUT) == 1
    for name in range(3000):
        (client.export / "many").mkdir(exist_ok=True)
        (client.export / "many" / f"{name}-{'x' * 100}").touch()
    with client.start("ls", "many", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(TIMEOUT) == 1


def test_a_terminal_gets_a_progress_bar_and_no_control_characters(client: Front) -> None:
    (client.export / "terminal").mkdir()
    (client.export / "terminal" / "a\x1b[31mb").write_bytes(b"")
    ours, theirs = pty.openpty()
    with client.start("ls", "terminal", stdout=theirs, stderr=theirs) as process:
        assert process.wait(TIMEOUT) == 0
    assert os.read(ours, 1000) == b"a?[31mb\r\n"
    local = client.export / "terminal" / "local"
    local.write_bytes(bytes(1000))
    with client.start(*("put", str(local), "uploaded"), stdout=theirs, stderr=theirs) as process:
        assert process.wait(TIMEOUT) == 0
    assert b"local" in os.read(ours, 100_000)
    for descriptor in (ours, theirs):
        os.close(descriptor)
    assert (client.export / "uploaded").read_bytes() == bytes(1000)


def front(*arguments: str, **environment: str) -> tuple[int, str, str]:
    clean = {name: value for name, value in os.environ.items() if "XEN_FILEPROXY" not in name}
    done = subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env=clean | environment,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_with_an_example(command: str) -> None:
    code, out, err = front(command, "--help")
    assert (code, err) == (0, "")
    assert f"xen-fileproxy-front {command}" in out.split("example:")[1]


def test_help_tells_exit_codes_and_environment() -> None:
    code, out, _ = front("--help")
    assert code == 0
    for text in ("3 no connection", "XEN_FILEPROXY_DOMID", "example:"):
        assert text in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("frobnicate",), "invalid choice: 'frobnicate'"),
        (("--domid", "32752", "ls"), "'32752' is not a domid: 0 to 32751 are possible"),
        (("--device", "-1", "ls"), "--device"),
        (("--rings", "10", "ls"), "'10' is not a number of rings: 1 to 9"),
        (("--order", "0", "ls"), "'0' is not an order: 1 to 9"),
        (("--msize", "4095", "ls"), "'4095' is not an msize: 4096 to"),
        (("--timeout", "x", "ls"), "'x' is not a number of seconds"),
        (("put", "--window", "33", "x"), "'33' is not a number of requests: 1 to 32"),
        (("--tag", "a", "--device", "1", "ls"), "not allowed with"),
        (("--connect", "nonsense", "ls"), "must be unix:PATH or tcp:HOST:PORT"),
        (("--platform", "embedded:/x", "ls"), "needs --domid"),
        (("rm",), "path"),
    ],
)
def test_wrong_usage_is_2(arguments: tuple[str, ...], message: str) -> None:
    code, out, err = front(*arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_a_wrong_environment_is_wrong_usage() -> None:
    code, _, err = front("ls", XEN_FILEPROXY_DOMID="five", XEN_FILEPROXY_PLATFORM="embedded:/x")
    assert code == 2
    assert "'five' is not a domid" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--connect", "unix:/nowhere/socket"), "unix:/nowhere/socket: No such file or directory"),
        (("--platform", "vmware"), "vmware"),
        (("--platform", "embedded:/nowhere", "--domid", "5"), "embedded:/nowhere"),
    ],
)
def test_no_connection_is_3(arguments: tuple[str, ...], message: str) -> None:
    code, out, err = front(*arguments, "ls")
    assert (code, out) == (3, "")
    assert err.startswith("xen-fileproxy-front: cannot connect")
    assert message in err
    assert len(err.splitlines()) == 1
