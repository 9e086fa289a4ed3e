"""Channels of real workers, behind their walls, between Dom0's programs and a guest."""

from __future__ import annotations

import os
import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from backend.platform import open_platform
from frontend_stub.connect import connect_device
from frontend_stub.share import Share
from protocol.xenpv.ids import Domid
from tests.backend.stubdom.libxl import say_stub_domain
from tests.end_to_end.dom0 import DEADLINE, dom0
from tools.testbed import TestbedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from frontend_stub.file import File
    from tools.testbed import Testbed

GUEST, TARGET = 5, 4


@contextmanager
def mounted(bed: Testbed, domid: int = GUEST) -> Iterator[Share]:
    with Share.attach(connect_device(bed.platform, Domid(domid), timeout=DEADLINE)) as share:
        yield share


def path_of(bed: Testbed, name: str = "qmp", domid: int = GUEST) -> Path:
    return bed.dir / "run" / str(domid) / name


def receive(file: File) -> bytes:
    """As read(2) of a stream; b"" at its end."""
    found: list[bytes] = []
    client = file.client
    client.wait(file.submit_read(0, 4096, lambda parts: found.extend(map(bytes, parts))))
    return b"".join(found)


def test_a_dialogue_while_files_are_served(bed: Testbed, export: Path) -> None:
    (export / "file").write_bytes(b"content")
    bed.attach(GUEST, "--path", str(export), "--read-only", "--channel", "qmp")
    with mounted(bed) as share, ThreadPoolExecutor() as pool:
        path = path_of(bed)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert sorted(share.listdir()) == ["file", "qmp"]

        def dialogue() -> list[bytes]:
            with dom0(path) as client:
                heard = [client.recv(100)]
                client.send(b"answer")
                return [*heard, client.recv(100)]

        for number in range(3):
            other = pool.submit(dialogue)
            with share.open("qmp", os.O_RDWR) as channel:
                channel.pwrite(b"greeting %d" % number, 0)
                assert receive(channel) == b"answer"
                with share.open("file") as file:
                    assert file.pread(100, 0) == b"content"
                channel.pwrite(b"bye", 0)
                assert receive(channel) == b""
            assert other.result(DEADLINE) == [b"greeting %d" % number, b"bye"]
    bed.await_status(lambda status: status["devices"][0].get("pid") is None)
    assert not path.parent.exists()


def test_a_share_of_channels_alone(bed: Testbed) -> None:
    bed.attach(GUEST, "--channel", f"qmp={bed.dir}/a", "--channel-from-guest", f"log={bed.dir}/b")
    with mounted(bed) as share:
        assert sorted(share.listdir()) == ["log", "qmp"]
        with dom0(bed.dir / "b") as client, share.open("log", os.O_WRONLY) as log:
            log.pwrite(b"line\n", 0)
            assert client.recv(100) == b"line\n"


def test_a_stub_domains_channel_is_called_after_its_target(bed: Testbed) -> None:
    for domid in (TARGET, GUEST):
        bed.hypervisor.create_domain(domid)
    with closing(open_platform(bed.platform).store()) as store:
        say_stub_domain(store, TARGET, GUEST)
    bed.attach(GUEST, "--channel", "qmp")
    with mounted(bed):
        assert path_of(bed, domid=TARGET).exists()


def test_a_socket_that_somebody_has_closes_the_device_and_says_so(
    bed: Testbed, export: Path
) -> None:
    (bed.dir / "taken").touch()
    bed.attach(GUEST, "--path", str(export), "--channel", f"qmp={bed.dir}/taken")
    with (
        pytest.raises(OSError, match=r"channel qmp: .*/taken: Address already in use"),
        mounted(bed),
    ):
        pass


def test_a_socket_that_a_killed_worker_has_left_is_replaced(bed: Testbed, export: Path) -> None:
    bed.attach(GUEST, "--path", str(export), "--channel", f"qmp={bed.dir}/qmp")
    with mounted(bed):
        killed = bed.device(GUEST)["pid"]
        os.kill(killed, signal.SIGKILL)
        bed.await_status(lambda status: status["devices"][0].get("pid") != killed)
        assert (bed.dir / "qmp").exists()
    with (
        mounted(bed) as share,
        dom0(bed.dir / "qmp") as client,
        share.open("qmp", os.O_RDWR) as channel,
    ):
        channel.pwrite(b"back", 0)
        assert client.recv(100) == b"back"


def test_wrong_options_are_named(bed: Testbed) -> None:
    for options, message in (
        (["--channel", "a/b"], "it must be NAME=SOCKET"),
        (["--channel", "x=" + "/long" * 30], "107 bytes at most"),
        (["--channel", "x=/a", "--channel", "y=/a"], "two of the channels have the same socket"),
        (["--channel", "x=/a", "--file", "x=/b"], "have the same name: x, x"),
    ):
        with pytest.raises(TestbedError, match=message):
            bed.attach(GUEST, *options)
