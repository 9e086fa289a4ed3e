"""A guest with all that it needs: its archive, our servers, QEMU's, and where they lie."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.linux_guest.initramfs import write_initramfs
from tools.linux_guest.machine import Forward, Machine, Peer
from tools.linux_guest.mounts import By
from tools.linux_guest.server import Server
from tools.linux_guest.session import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.linux_guest.kernels import Kernel

PORTS: Final = (5640, 5641)
TAGS: Final = ("first", "second")


@contextlib.contextmanager
def bed(
    kernel: Kernel,
    root: Path,
    logs: Path,
    exports: dict[By, Path],
    options: Sequence[str] = (),
) -> Iterator[tuple[Machine, dict[By, Place]]]:
    """A guest that is up, and what it can mount; ``options`` go to ``serve``.

    ``exports`` names the directory that we serve and QEMU's.  Raises ``GuestError``.
    """
    peers = [Peer(tag, exports[By.QEMU]) for tag in TAGS]
    with served(kernel, root, logs, exports[By.US], options, ports=PORTS, peers=peers) as machine:
        yield (
            machine,
            {
                By.US: Place(exports[By.US], (str(PORTS[0]), str(PORTS[1]))),
                By.QEMU: Place(exports[By.QEMU], TAGS),
            },
        )


@contextlib.contextmanager
def served(
    kernel: Kernel,
    root: Path,
    logs: Path,
    export: Path,
    options: Sequence[str],
    *,
    ports: Sequence[int],
    peers: Sequence[Peer],
) -> Iterator[Machine]:
    """A guest that is up, and finds our server at each of ``ports``.  Raises ``GuestError``."""
    with contextlib.ExitStack() as stack:
        # Short names: the path of a unix socket has 107 bytes.
        scratch = Path(tempfile.mkdtemp(prefix="xfp-"))
        stack.callback(shutil.rmtree, scratch)
        write_initramfs(scratch / "initramfs", kernel, root)
        server = stack.enter_context(Server(export, scratch / "9p", logs / "serve.log", options))
        forwards = [Forward(port, server.socket) for port in ports]
        start = time.monotonic()
        machine = stack.enter_context(
            Machine(kernel, scratch / "initramfs", logs, forwards, peers=peers)
        )
        print(f"  Linux {machine.release} is up after {time.monotonic() - start:.0f} s", flush=True)
        yield machine
