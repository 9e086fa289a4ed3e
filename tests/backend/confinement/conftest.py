"""A prison, and around it what its inmates would like to get at."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from backend.confinement.walls import HOLDS, WALLS
from backend.trace import TraceWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Outcome(NamedTuple):
    """How an attack ended: ``done``, ``failed: why`` or ``killed: by which signal``."""

    end: str
    walls: dict[str, str]
    value: Any


class Prison:
    """The program ``prison.py``, and what it tells every inmate."""

    def __init__(self, known: dict[str, Any], nodes: dict[str, str]) -> None:
        self.known = known
        self.nodes = nodes
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with the prison
        self._read = 0
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("prison.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def run(
        self,
        attack: str,
        walls: Sequence[str] = WALLS,
        share: Mapping[str, str] | None = None,
        required: Sequence[str] = (),
        *,
        uid: int | None = None,
        root: Path | None = None,
    ) -> Outcome:
        """Fork, confine, attack; ``share`` has nodes in which it differs from the usual one.

        With ``uid`` it is started by that user; with ``root`` in a root that cannot be left.
        """
        request = {
            "attack": attack,
            "walls": [wall for wall in WALLS if wall in walls],
            "required": list(required),
            "uid": uid,
            "root": None if root is None else str(root),
            "known": self.known,
            "share": {**self.nodes, **(share or {})},
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Outcome(answer["end"], answer.get("walls", {}), answer.get("value"))

    def log(self) -> str:
        """What inmates have said on standard error since the last call."""
        self._log.seek(self._read)
        text = self._log.read().decode()
        self._read = self._log.tell()
        return text

    def close(self) -> None:
        self._process.communicate()
        self._log.close()
        assert self._process.returncode == 0


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A directory that inmates of any user may look into."""
    with tempfile.TemporaryDirectory(prefix="xf") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def prison(place: Path) -> Iterator[Prison]:
    for name in ("export", "neighbour", "mountpoint"):
        (place / name).mkdir()
        (place / name / "file").write_text("somebody's\n")
    secret, only_roots = place / "secret", place / "only-roots"
    secret.write_text("Dom0's\n")
    secret.chmod(0o644)
    only_roots.write_text("root's\n")
    if os.geteuid() == 0:
        # Root reads it by a capability alone.
        os.chown(only_roots, 1, 1)
    only_roots.chmod(0)
    (place / "export" / "below").mkdir()
    (place / "export" / "link").symlink_to(secret)
    TraceWriter.create(str(place / "trace.pcap"))
    setuid = place / "head"
    shutil.copy("/usr/bin/head", setuid)
    setuid.chmod(0o4755)
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        unix.bind(str(place / "s"))
        unix.listen()
        name = f"xfp-{os.getpid()}"
        abstract.bind("\0" + name)
        abstract.listen()
        known = {
            "secret": str(secret),
            "only_roots": str(only_roots),
            "neighbour": str(place / "neighbour" / "file"),
            "port": tcp.getsockname()[1],
            "socket": str(place / "s"),
            "abstract": name,
            "setuid": str(setuid),
            "below": str(place / "export" / "below"),
            "trace": str(place / "trace.pcap"),
            "mountpoint": str(place / "mountpoint"),
            "handle": handle_of(secret).hex(),
        }
        found = Prison(known, {"path": str(place / "export")})
        yield found
        found.close()


@pytest.fixture(scope="session")
def kernel(prison: Prison) -> dict[str, str]:
    """The walls that can be had here, each as ``holds`` or why not."""
    return prison.run("read_by_path").walls


def handle_of(path: Path) -> bytes:
    """``struct file_handle`` of a file (name_to_handle_at(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = ctypes.create_string_buffer((128).to_bytes(4, sys.byteorder), 136)
    mount = ctypes.c_int()
    at_fdcwd = -100
    if libc.name_to_handle_at(at_fdcwd, os.fsencode(path), handle, ctypes.byref(mount), 0):
        return b"\0" * 8
    return handle.raw


def need(kernel: dict[str, str], *walls: str) -> None:
    """Skip where a wall cannot be had."""
    for wall in walls:
        if kernel.get(wall) != HOLDS:
            pytest.skip(f"no {wall} here: {kernel.get(wall)}")
