"""A stub domain's state share, as its guest and as libxl in Dom0 see it."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from backend.platform import open_platform
from frontend_stub.connect import connect_device
from frontend_stub.share import Share
from protocol.xenpv.ids import Domid
from tests.backend.stubdom.libxl import say_stub_domain
from tests.end_to_end.dom0 import DEADLINE, dom0
from tools.testbed import Testbed

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG: Final = """\
[stubdom]
auto = true
save = "DIR/lib/qemu-save.{target}"
restore = "DIR/lib/qemu-resume.{target}"
channels-from-guest = ["console"]
"""
WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
"""As QEMU opens what it saves to."""


@pytest.fixture
def bed(leak_free: None) -> Iterator[Testbed]:
    with Testbed(config=CONFIG) as running:
        (running.dir / "lib").mkdir()
        yield running


@contextmanager
def stub_domain(bed: Testbed, target: int, domid: int) -> Iterator[Share]:
    """The share as a stub domain that has just been made finds it."""
    for number in (target, domid):
        bed.hypervisor.create_domain(number)
    with closing(open_platform(bed.platform).store()) as store:
        say_stub_domain(store, target, domid)
    bed.await_status(
        lambda status: (
            (domid, "init_wait")
            in {(device["domid"], device["state"]) for device in status["devices"]}
        )
    )
    with mounted(bed, domid) as share:
        yield share


@contextmanager
def mounted(bed: Testbed, domid: int) -> Iterator[Share]:
    with Share.attach(
        connect_device(bed.platform, Domid(domid), tag="state", timeout=DEADLINE)
    ) as share:
        yield share


def files(bed: Testbed) -> dict[str, bytes]:
    """What is in Dom0's directory."""
    return {path.name: path.read_bytes() for path in (bed.dir / "lib").iterdir()}


def test_a_second_save_that_is_shorter_has_no_tail_of_the_first(bed: Testbed) -> None:
    with stub_domain(bed, 4, 5) as share:
        for state in (os.urandom(300_000), os.urandom(70_000)):
            with share.open("save", WRITE) as file:
                file.pwrite(state, 0)
            assert files(bed) == {"qemu-save.4": state}
        (bed.dir / "lib" / "qemu-save.4").unlink()  # as libxl does
        with share.open("save", WRITE) as file:
            file.pwrite(b"third", 0)
        assert files(bed) == {"qemu-save.4": b"third"}


def test_a_save_in_the_middle_of_which_the_domain_ends_leaves_nothing(bed: Testbed) -> None:
    with stub_domain(bed, 4, 5) as share:
        file = share.open("save", WRITE)
        file.pwrite(bytes(100_000), 0)
        bed.hypervisor.destroy_domain(5)
        bed.await_status(lambda status: not status["devices"])
        with pytest.raises(OSError, match=r".+"):
            file.pwrite(b"more", 100_000)
    assert files(bed) == {}


def test_what_dom0s_qemu_left_there_is_not_taken_for_a_state(bed: Testbed) -> None:
    """It has the file open, for the console that libxl means states to go through."""
    old = bed.dir / "lib" / "qemu-save.4"
    old.touch()
    with stub_domain(bed, 4, 5) as share:
        share.remove("save")
        file = share.open("save", WRITE)
        file.pwrite(b"half", 0)
        assert files(bed) == {}
        file.pwrite(b"a whole", 0)
        file.close()
        assert files(bed) == {"qemu-save.4": b"a whole"}


def test_the_state_to_begin_with_is_read_and_no_more(bed: Testbed) -> None:
    resume = bed.dir / "lib" / "qemu-resume.4"
    with stub_domain(bed, 4, 5) as share:
        assert sorted(share.listdir()) == ["console", "qmp"]
        for content in (b"first", b"second"):
            resume.unlink(missing_ok=True)
            resume.write_bytes(content)
            with share.open("restore") as file:
                assert file.pread(100, 0) == content
        for attempt in (
            lambda: share.open("restore", os.O_WRONLY),
            lambda: share.open("restore", WRITE),
            lambda: share.remove("restore"),
            lambda: share.rename("save", "restore"),
        ):
            with pytest.raises(OSError, match=r"Permission denied|No such file"):
                attempt()
    assert files(bed) == {"qemu-resume.4": b"second"}


def test_a_neighbours_state_is_neither_seen_nor_guessed(bed: Testbed) -> None:
    with stub_domain(bed, 4, 5) as one, stub_domain(bed, 6, 7) as other:
        with other.open("save", WRITE) as file:
            file.pwrite(b"secret", 0)
        (bed.dir / "lib" / "qemu-resume.6").write_bytes(b"secret")
        assert sorted(one.listdir()) == ["console", "qmp"]
        guesses = ("qemu-save.6", "qemu-resume.6", "qemu-save.4", "lib", "../qemu-save.6", "6")
        for name in (*guesses, "../../6/qmp", "save/../qemu-save.6"):
            with pytest.raises(OSError, match=r".+"):
                one.open(name).close()
            with pytest.raises(OSError, match=r".+"):
                one.open(name, WRITE).close()
        assert sorted(other.listdir()) == ["console", "qmp", "restore", "save"]


def test_its_channels_are_where_the_configuration_says(bed: Testbed) -> None:
    with stub_domain(bed, 4, 5) as share:
        with dom0(bed.dir / "run/4/qmp") as client, share.open("qmp", os.O_RDWR) as channel:
            channel.pwrite(b"greeting", 0)
            assert client.recv(100) == b"greeting"
        with dom0(bed.dir / "run/4/console") as client:
            with share.open("console", os.O_WRONLY) as channel:
                channel.pwrite(b"boot\n", 0)
                assert client.recv(100) == b"boot\n"
            with pytest.raises(PermissionError):
                share.open("console", os.O_RDONLY)
    bed.hypervisor.destroy_domain(5)
    bed.await_status(lambda status: not status["devices"])
    assert not (bed.dir / "run/4").exists()
