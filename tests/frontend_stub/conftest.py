"""Peers for the client: diod (Debian), an independent 9P2000.L server, and a scripted one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

from backend.platform.embedded.hypervisor import EmbeddedHypervisor
from frontend_stub.client import Client
from frontend_stub.share import Share
from frontend_stub.socket_transport import SocketTransport
from protocol.xenpv.ids import Domid
from tests.frontend_stub.raw_backend import RawBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DIOD = shutil.which("diod") or shutil.which("/usr/sbin/diod")
TIMEOUT = 20.0
GUEST = Domid(5)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What diod exports."""
    path = tmp_path / "tree"
    path.mkdir()
    return path


@pytest.fixture
def connect_diod(
    leak_free: None,
    tree: Path,
) -> Iterator[Callable[..., Share]]:
    """Makes shares of ``tree``, each with a diod of its own on a socket pair."""
    if DIOD is None:
        pytest.skip("diod is not installed (apt install diod)")
    made: list[tuple[Share, subprocess.Popen[bytes]]] = []

    def connect(timeout: float = TIMEOUT, msize: int | None = None) -> Share:
        ours, theirs = socket.socketpair()
        number = str(theirs.fileno())
        process = subprocess.Popen(
            [
                *(DIOD, "-f", "-n", "-N", "-c", "/dev/null", "-L", "stderr"),
                *("-e", str(tree), "-r", number, "-w", number),
            ],
            pass_fds=[theirs.fileno()],
            cwd=tree.parent,  # it allows itself core dumps, and now and then leaves one at its end
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        client = Client.connect(SocketTransport(ours, "diod"), msize, timeout)
        share = Share.attach(client, str(tree), uid=os.geteuid())
        made.append((share, process))
        return share

    yield connect
    for share, process in made:
        share.close()
        # diod ends with its one connection; a leftover request is no reason to outlive the test.
        try:
            process.wait(TIMEOUT)
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def share(connect_diod: Callable[..., Share]) -> Share:
    """A share of ``tree``."""
    return connect_diod()


@pytest.fixture
def hypervisor(
    leak_free: None,
) -> Iterator[EmbeddedHypervisor]:
    """A hypervisor with domain 5; nothing may be left over on it."""
    # Not below tmp_path, whose name may be too long for a unix socket.
    with (
        tempfile.TemporaryDirectory(prefix="xen-fileproxy-") as directory,
        EmbeddedHypervisor.start(f"{directory}/hypervisor") as running,
    ):
        running.create_domain(GUEST)
        yield running
        assert running.leaks() == []


@pytest.fixture
def backend(hypervisor: EmbeddedHypervisor) -> Iterator[RawBackend]:
    """Dom0's end of domain 5's device, played by the test."""
    dom0 = hypervisor.platform()
    with RawBackend(dom0, GUEST) as raw:
        yield raw
    dom0.close()
