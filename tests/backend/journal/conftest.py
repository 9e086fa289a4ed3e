"""A device's process without a supervisor, and a frontend made by hand."""

from __future__ import annotations

import json
import mmap
import os
import select
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.platform.embedded.hypervisor import EmbeddedHypervisor
from backend.share import Share, share_nodes
from backend.worker import control
from backend.worker.control import ControlChannel, Stop
from protocol.ninep.codec import decode_frame, encode
from tests.backend.supervisor.guest import Guest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from protocol.ninep.messages import Message

PROCESS = Path(__file__).with_name("device_process.py")


class Served(Guest):
    """A guest whose device is served by a process of its own."""

    words: memoryview
    """Steps taken, the one to end at, whether to end at each beginning, and the seed of when each
    worker after that one is to end."""
    process: subprocess.Popen[bytes]
    channel: ControlChannel
    """The supervisor's end."""
    start: Callable[[int | None], tuple[subprocess.Popen[bytes], ControlChannel]]
    """Another process for the device; with a descriptor, of what leads to the one that has it."""

    def answer(self, ring: int) -> Message:
        """The next reply of a ring."""
        return decode_frame(self.receive(ring))

    def put(self, request: Message, ring: int, data: bytes = b"") -> None:
        """Send a request, and the data beside it, without a word."""
        frame = encode(request, len(data)) + data if data else encode(request)
        requests = self.rings[ring].requests
        requests.put(0, frame)
        requests.advance(len(frame))

    def ask(self, request: Message, data: bytes = b"") -> tuple[Message, bytes]:
        """The reply and the data beside it."""
        self.send(encode(request, len(data)) + data if data else encode(request))
        return self.reply()

    def reply(self) -> tuple[Message, bytes]:
        """The next reply of the first ring, and the data beside it."""
        frame = self.receive()
        reply = decode_frame(frame)
        length = getattr(reply, "count", 0)
        return reply, frame[len(frame) - length :] if isinstance(length, int) else b""


@contextmanager
def served(export: Path | Share, walls: str, rings: int = 1, order: int = 4) -> Iterator[Served]:
    """A device that shows ``export``."""
    share = export if isinstance(export, Share) else Share(path=str(export))
    nodes = {name: os.fsdecode(value) for name, value in share_nodes(share).items()}
    with (
        tempfile.TemporaryDirectory(prefix="xf") as name,
        EmbeddedHypervisor.start(Path(name) / "hv") as hypervisor,
    ):
        hypervisor.create_domain(5)
        platform = f"embedded:{name}/hv"
        with Served(platform, 5) as guest:
            offers = [guest.share_ring(order).offer for _ in range(rings)]
            switch = os.memfd_create("switch")
            os.ftruncate(switch, 4096)
            memory = mmap.mmap(switch, 4096)
            guest.words = memoryview(memory).cast("Q")
            shown = ",".join(f"{offer.ring_ref}:{offer.event_channel}" for offer in offers)

            def start(predecessor: int | None) -> tuple[subprocess.Popen[bytes], ControlChannel]:
                ours, theirs = control.pair()
                passed = [fd for fd in (theirs.fileno(), switch, predecessor) if fd is not None]
                arguments = (platform, json.dumps(nodes), name, shown, walls, *passed)
                with theirs:
                    process = subprocess.Popen(
                        [sys.executable, str(PROCESS), *map(str, arguments)], pass_fds=passed
                    )
                return process, ControlChannel(ours)

            guest.start = start
            guest.process, guest.channel = start(None)
            try:
                yield guest
                guest.channel.send(Stop())
                assert guest.process.wait(30) == 0
            finally:
                guest.process.kill()
                guest.process.wait()
                guest.channel.close()
                os.close(switch)
                guest.words.release()
                memory.close()


def await_consumed(guest: Served, waiting: int) -> None:
    """Until so many bytes of requests are left."""
    requests = guest.rings[0].requests
    while requests.size - requests.free() > waiting:
        ready, _, _ = select.select([guest.events.fileno()], [], [], 30)
        assert ready
        while (port := guest.events.pending()) is not None:
            guest.events.unmask(port)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "export"
    path.mkdir()
    return path
