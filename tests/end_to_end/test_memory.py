"""A worker's memory does not grow with what it has served."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from frontend_stub.connect import connect_device
from frontend_stub.share import Share
from protocol.ninep.flags import GETATTR_BASIC
from protocol.ninep.messages import Rgetattr, Tgetattr
from protocol.xenpv.ids import Domid
from tools.testbed import Testbed

if TYPE_CHECKING:
    from pathlib import Path

    from frontend_stub.file import File

GUEST = Domid(5)
WARM = 10_000
ALL = 10_000_000
SLACK_KIB = 1024
"""Less than a tenth of a byte for each request: one leaked object would be some 60."""

IN_FLIGHT = 16
BLOCK = 4096


def anonymous_kib(pid: int) -> int:
    """Private memory of a process; pages of files and rings are not its own."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))


def everything_once(share: Share) -> None:
    """Some of each message, errors too."""
    share.mkdir("dir")
    with share.open("dir/file", os.O_RDWR | os.O_CREAT | os.O_EXCL) as file:
        file.pwrite(b"x" * 100, 0)
        file.fsync()
        file.truncate(50)
    share.symlink("file", "dir/link")
    share.link("dir/file", "dir/other")
    share.rename("dir/file", "dir/moved")
    assert share.listdir("dir")
    assert share.readlink("dir/link") == "file"
    with suppress(OSError):  # where the file system has them
        share.setxattr("dir/moved", "user.a", b"value")
        share.listxattr("dir/moved")
    for name in ("no", "dir/no", "dir/moved/no"):
        with suppress(OSError):
            share.stat(name)
    for name in ("dir/moved", "dir/link", "dir/other"):
        share.remove(name)
    share.rmdir("dir")
    share.statfs()


def read_and_ask(file: File, count: int) -> None:
    """Requests by the thousand, several in flight."""
    client, fid = file.client, file.fid
    flight: deque[Any] = deque()
    for number in range(count):
        if len(flight) == IN_FLIGHT:
            client.wait(flight.popleft())
        if number % 2:
            flight.append(file.submit_read(0, BLOCK, lambda _slices: None, more=True))
        else:
            flight.append(
                client.submit(lambda tag: Tgetattr(tag, fid, GETATTR_BASIC), Rgetattr, more=True)
            )
    while flight:
        client.wait(flight.popleft())


def serve_until(bed: Testbed, share: Share, file: File, requests: int) -> int:
    """Have the worker serve so many requests in all; its memory then."""
    while (device := bed.device(GUEST))["requests"] < requests:
        for _ in range(20):
            everything_once(share)
        read_and_ask(file, min(200_000, requests - device["requests"]))
    return anonymous_kib(device["pid"])


def memory_growth(export: Path, requests: int) -> int:
    """KiB by which the worker has grown between ``WARM`` and ``requests`` requests."""
    with Testbed() as bed:
        bed.guest(GUEST, export)
        with (
            Share.attach(connect_device(bed.platform, GUEST)) as share,
            share.open("file", os.O_RDWR | os.O_CREAT) as file,
        ):
            file.pwrite(bytes(BLOCK), 0)
            before = serve_until(bed, share, file, WARM)
            after = serve_until(bed, share, file, requests)
    print(f"\nworker: {before:,} KiB after {WARM:,} requests, {after:,} KiB after {requests:,}")
    return after - before


def test_a_hundred_thousand_requests_leave_no_memory_behind(tmp_path: Path) -> None:
    assert memory_growth(tmp_path, 100_000) < SLACK_KIB


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_million_requests_leave_no_memory_behind(tmp_path: Path) -> None:
    assert memory_growth(tmp_path, ALL) < SLACK_KIB
