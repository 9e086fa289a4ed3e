"""Directories that may be exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.config import Config
from backend.doctor import exports
from backend.doctor.finding import Verdict
from backend.doctor.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backend.doctor.conftest import Ground, Look

directories = exports.CHECKS["directories"]

MOUNTS = """\
22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:22 / /srv rw - xfs /dev/sdb rw
24 22 0:23 / /srv/with\\040space rw - btrfs /dev/sdc rw
25 23 0:24 / /srv rw shared:2 master:1 - nfs4 server:/ rw
26 22 0:25 / /srvother rw - tmpfs tmpfs rw
""".splitlines(keepends=True)


@pytest.mark.parametrize(
    ("path", "point", "kind"),
    [
        ("/", "/", "ext4"),
        ("/home/x", "/", "ext4"),
        ("/srv", "/srv", "nfs4"),
        ("/srv/a/b", "/srv", "nfs4"),
        ("/srv/with space/a", "/srv/with space", "btrfs"),
        ("/srvother", "/srvother", "tmpfs"),
        ("/srvothers", "/", "ext4"),
    ],
)
def test_the_mount_that_a_path_lies_in(path: str, point: str, kind: str) -> None:
    assert exports.mount_of(path, MOUNTS) == (point, kind)


def test_any_directory(ground: Ground, look: Look) -> None:
    ((verdict, _),) = look(directories, ground.machine())
    assert verdict is Verdict.OK


def test_directories_one_by_one(
    ground: Ground, look: Look, user_attributes: None, tmp_path: Path
) -> None:
    ground.root = tmp_path
    (tmp_path / "srv").mkdir()
    ground("/file")
    config = Config(allowed_exports=("/srv", "/gone", "/file"))
    here, gone, file = look(directories, ground.machine(config))
    assert here[0] is Verdict.OK
    assert here[1].startswith("/srv: ")
    assert here[1].endswith(" GiB free; quotas and both security models")
    assert gone[0] is file[0] is Verdict.PROBLEM
    assert "No such file or directory" in gone[1]
    assert "Not a directory" in file[1]


@pytest.mark.parametrize(
    ("kind", "read_only", "attributes", "says"),
    [
        ("ext4", False, True, "; quotas and both security models"),
        ("ext4", True, True, ", mounted read-only"),
        ("nfs4", False, True, ": guests wait where its server does"),
        ("fuse.sshfs", False, False, ": guests wait where its server does"),
        ("tmpfs", False, False, ", no user attributes"),
    ],
)
def test_a_file_system_is_judged(kind: str, read_only: bool, attributes: bool, says: str) -> None:
    finding = exports.judged("/srv", exports.Mount("/", kind), read_only, attributes)
    assert finding.what == f"/srv{says}"
    assert (finding.verdict is Verdict.OK) == (kind == "ext4" and not read_only)


def test_a_file_system_without_user_attributes(look: Look) -> None:
    ((verdict, what),) = look(directories, Machine(Config(allowed_exports=("/proc",))))
    assert verdict is Verdict.WARNING
    assert what.startswith("/proc: proc, ")
