"""The directory of records: whoever could write there could have the supervisor kill."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backend.supervisor.keys import DeviceKey
from backend.supervisor.records import Record, Records
from backend.worker.control import Ready
from backend.worker.supervision import socket_name
from protocol.xenpv.ids import Devid, Domid

if TYPE_CHECKING:
    from pathlib import Path

RECORD = Record(
    pid=4711,
    birth=10,
    version="1",
    platform="xen",
    domain="/vm/\udcff",
    share={"path": "/srv/\udce4 b"},
    rings=((1, 2), (3, 4)),
    allowed_exports=("/srv",),
    started=12.5,
    ready=Ready(2, 9, {"seccomp": "holds"}),
)


def test_what_is_written_is_found_by_the_next(tmp_path: Path) -> None:
    key = DeviceKey(Domid(5), Devid(1))
    Records(str(tmp_path / "workers")).write(key, RECORD)
    later = Records(str(tmp_path / "workers"))
    assert later.found() == [(key, RECORD)]
    later.remove(key, RECORD.pid)
    assert later.found() == []
    later.remove(key, RECORD.pid)


def test_a_record_of_two_workers_keeps_both_sockets(tmp_path: Path) -> None:
    key, records = DeviceKey(Domid(5), Devid(1)), Records(str(tmp_path / "workers"))
    both = RECORD._replace(pid=4712, recovers=True, predecessor=RECORD)
    records.write(key, both)
    names = {socket_name(*key, pid) for pid in (4711, 4712, 4713)}
    for name in names:
        (tmp_path / "workers" / name).touch()
    assert records.found() == [(key, both)]
    records.remove_socket(key, 4712)
    left = {path.name for path in (tmp_path / "workers").glob("*.sock")}
    assert left == {socket_name(*key, 4711)}


@pytest.mark.parametrize("mode", [0o770, 0o701])
def test_a_directory_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers").chmod(mode)
    with pytest.raises(PermissionError, match="open to nobody else"):
        Records(str(tmp_path / "workers"))


def test_a_directory_that_is_somewhere_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o700)
    (tmp_path / "workers").symlink_to("there")
    with pytest.raises(PermissionError):
        Records(str(tmp_path / "workers"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a directory away")
def test_another_user_s_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir(mode=0o700)
    os.chown(tmp_path / "workers", 65534, 65534)
    with pytest.raises(PermissionError):
        Records(str(tmp_path / "workers"))
