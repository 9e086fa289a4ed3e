"""Policies of a share, from the toolstack's nodes and options to what Dom0 finds in the end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from backend import toolstack
from backend.commands.stores import open_store
from backend.share import Commit, NamedFile, Share
from frontend_stub.connect import connect_device
from frontend_stub.share import Share as Mount
from protocol.xenpv.ids import DOM0, Domid
from protocol.xenpv.xenbus import XenbusState
from tools.testbed import Testbed, TestbedError

if TYPE_CHECKING:
    from pathlib import Path

GUEST = Domid(5)
NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
WHOLE = os.urandom(3 << 20)


def attach(bed: Testbed, share: Share) -> None:
    """As a toolstack does, until the share is offered."""
    if GUEST not in bed.hypervisor.domains():
        bed.hypervisor.create_domain(GUEST)
    with open_store(bed.platform) as (store, own):
        assert own == DOM0
        devid = toolstack.attach(store, own, GUEST, share, "share")
        state = toolstack.wait_for(
            store,
            toolstack.ends(own, GUEST, devid),
            lambda state: state is XenbusState.INIT_WAIT,
            20,
        )
        assert state is XenbusState.INIT_WAIT


def mount(bed: Testbed) -> Mount:
    return Mount.attach(connect_device(bed.platform, GUEST))


def found(folder: Path) -> dict[str, bytes]:
    """All that is there, hidden names too."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(code: int):  # type: ignore[no-untyped-def]
    return pytest.raises(OSError, match=rf"\[Errno {code}\]")


def test_read_only(bed: Testbed, export: Path) -> None:
    (export / "file").write_bytes(b"data")
    attach(bed, Share(str(export), read_only=True))
    with mount(bed) as share:
        with share.open("file") as file:
            assert file.pread(9, 0) == b"data"
        for flags in (os.O_RDWR, NEW):
            with refused(errno.EROFS):
                share.open("file", flags)
        with refused(errno.EROFS):
            share.mkdir("new")
        with refused(errno.EEXIST):
            share.mkdir("file")
    assert found(export) == {"file": b"data"}


def test_named_files_by_the_command_line(bed: Testbed, export: Path) -> None:
    other = export.parent / "other"
    other.mkdir()
    (export / "neighbour").write_bytes(b"a neighbour's")
    bed.attach(
        GUEST,
        *("--writable-file", f"save={export}/qemu-save.7"),
        *("--file", f"load={other}/restore.7"),
    )
    shown = f"load = {other}/restore.7, save = {export}/qemu-save.7"
    with mount(bed) as share:
        assert bed.device(GUEST)["path"] == shown
        assert share.listdir() == []
        for state in (b"first", b"second, as Dom0 made it anew"):
            (other / "restore.7").write_bytes(state)
            with share.open("load") as file:
                assert file.pread(99, 0) == state
            (other / "restore.7").unlink()
            with refused(errno.ENOENT):
                share.open("load")
        with share.open("save", NEW, 0o660) as file:
            file.pwrite(WHOLE, 0)
        assert share.listdir() == ["save"]
        assert (export / "qemu-save.7").read_bytes() == WHOLE
        (export / "qemu-save.7").unlink()
        with share.open("save", NEW) as file:
            file.pwrite(b"again", 0)
        share.remove("save")
        for name in ("neighbour", "qemu-save.7"):
            with refused(errno.ENOENT):
                share.open(name)
            with refused(errno.EACCES):
                share.open(name, NEW)
    assert found(export) == {"neighbour": b"a neighbour's"}
    assert f"tag share, path {shown}" in bed.log.read_text()


def test_the_directory_of_a_named_file_must_be_there(bed: Testbed, export: Path) -> None:
    missing = export / "none"
    with pytest.raises(TestbedError, match=f"export path {missing}: No such file or directory"):
        bed.attach(GUEST, "--file", f"load={missing}/restore.7")


class TestAtomicCommit:
    """A state file, whoever dies while it is written."""

    @pytest.fixture(params=["directory", "named file"])
    def folder(self, request: pytest.FixtureRequest, bed: Testbed, export: Path) -> Path:
        """Where the guest's ``state`` is."""
        share = Share(str(export), commit=Commit.ATOMIC)
        if request.param == "named file":
            file = NamedFile("state", str(export / "state"), writable=True)
            share = Share(files=(file,), commit=Commit.ATOMIC)
        attach(bed, share)
        return export

    def test_a_save_appears_when_it_is_closed(self, bed: Testbed, folder: Path) -> None:
        with mount(bed) as share:
            for before, state in [({}, WHOLE), ({"state": WHOLE}, b"shorter")]:
                with share.open("state", NEW) as file:
                    file.pwrite(state, 0)
                    file.fsync()
                    assert share.stat("state").size == len(state)
                    assert found(folder) == before
                assert found(folder) == {"state": state}

    @pytest.mark.parametrize("before", [{}, {"state": b"the last good one"}])
    def test_a_killed_worker_leaves_what_was_there(
        self, bed: Testbed, folder: Path, before: dict[str, bytes]
    ) -> None:
        for name, data in before.items():
            (folder / name).write_bytes(data)
        with mount(bed) as share:
            file = share.open("state", NEW)
            file.pwrite(WHOLE, 0)
            worker = bed.device(GUEST)["pid"]
            os.kill(worker, signal.SIGKILL)
            with pytest.raises(ConnectionResetError, match="worker died"):
                share.listdir()
        assert found(folder) == before

    @pytest.mark.parametrize("before", [{}, {"state": b"the last good one"}])
    def test_a_killed_guest_leaves_what_was_there(
        self, bed: Testbed, folder: Path, before: dict[str, bytes]
    ) -> None:
        for name, data in before.items():
            (folder / name).write_bytes(data)
        with subprocess.Popen(bed.front(GUEST, "put", "-", "state"), stdin=subprocess.PIPE) as put:
            assert put.stdin is not None
            written = 0
            while written < 8 << 20:
                written += put.stdin.write(bytes(1 << 20))
            put.kill()
        assert found(folder) == before
        bed.hypervisor.destroy_domain(GUEST)
        bed.await_status(lambda status: not status["devices"])
        assert found(folder) == before


def test_sync_on_close(bed: Testbed, export: Path) -> None:
    attach(bed, Share(str(export), commit=Commit.ATOMIC, fsync_on_close=True))
    with mount(bed) as share:
        files = [share.open(f"file{number}", NEW) for number in range(20)]
        for file in files:
            file.pwrite(WHOLE[: 1 << 18], 0)
        for file in files:
            file.close()
        assert found(export) == {f"file{number}": WHOLE[: 1 << 18] for number in range(20)}
        with share.open("file0", os.O_RDWR) as file:
            file.pwrite(b"x", 0)
    assert (export / "file0").read_bytes()[:1] == b"x"
