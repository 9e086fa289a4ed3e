"""What a confined process is, sees and can still do."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.confinement.capabilities import (
    CAP_CHOWN,
    CAP_DAC_OVERRIDE,
    CAP_FOWNER,
    CAP_FSETID,
)
from backend.confinement.plan import Plan
from backend.confinement.sandbox import Sandbox
from backend.confinement.walls import CAPABILITIES, LIMITS, NAMESPACES, SECCOMP, WALLS, missing
from tests.backend.confinement.conftest import need

if TYPE_CHECKING:
    from tests.backend.confinement.conftest import Prison

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give rights up")

QUIET = [wall for wall in WALLS if wall != SECCOMP]
"""Without the filter, which an inmate's questions would not pass."""


def test_root_has_every_wall(kernel: dict[str, str]) -> None:
    assert tuple(kernel) == WALLS
    if os.geteuid() == 0:
        assert not missing({NAMESPACES: kernel[NAMESPACES], CAPABILITIES: kernel[CAPABILITIES]})


def test_nothing_has_a_name_but_the_descriptors(prison: Prison, kernel: dict[str, str]) -> None:
    need(kernel, NAMESPACES)
    outcome = prison.run("view", [NAMESPACES])
    assert outcome.value == {
        "/": ["proc"],
        "/proc": ["self"],
        "/proc/self": ["fd"],
        "cwd": "/",
        "above the root": True,
    }


def test_a_guests_work_is_done(prison: Prison) -> None:
    outcome = prison.run("work")
    assert outcome.end == "done"
    assert outcome.value == [".", "..", "below", "fifo", "file", "folder", "link", "made"]


def test_what_nobody_foresaw_is_logged_and_service_goes_on(prison: Prison) -> None:
    """Behind all walls: the traceback, a thread for fsync, and the trace that was opened before."""
    prison.log()
    outcome = prison.run("serve")
    assert outcome.end == "done"
    assert outcome.value == [
        "Rversion",
        "Rattach",
        "Input/output error",
        "Rgetattr",
        "Rlcreate",
        "Rfsync",
        "Rclunk",
        "hung up",
    ]
    log = prison.log()
    assert "unforeseen while answering tag 7" in log
    assert "ZeroDivisionError: integer division or modulo by zero" in log
    assert Path(prison.known["trace"]).read_bytes().count(b"9P2000.L") == 2


def test_named_files_are_served_without_their_neighbours(prison: Prison, place: Path) -> None:
    files = {"num-files": "1", "path": ""}
    files |= {
        f"files/0/{key}": value
        for key, value in (("name", "state"), ("path", str(place / "s7")), ("writable", "1"))
    }
    outcome = prison.run("name_files", WALLS, files)
    assert outcome.end == "done"
    assert outcome.value == [".", ".."]


@needs_root
@pytest.mark.parametrize(
    ("share", "capabilities"),
    [
        ({}, [CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID]),
        ({"read-only": "1"}, [CAP_DAC_OVERRIDE, CAP_FOWNER]),
        ({"security_model": "mapped-xattr"}, []),
    ],
)
def test_root_keeps_the_capabilities_of_its_model(
    prison: Prison, share: dict[str, str], capabilities: list[int]
) -> None:
    outcome = prison.run("identity", QUIET, share)
    assert outcome.value["uids"] == [0, 0, 0]
    assert outcome.value["groups"] == []
    assert outcome.value["capabilities"] == capabilities
    assert outcome.value["effective"]


@needs_root
def test_mapped_share_of_a_user_is_served_as_that_user(prison: Prison, place: Path) -> None:
    owned = place / "owned"
    owned.mkdir()
    os.chown(owned, 12345, 23456)
    share = {"path": str(owned), "security_model": "mapped-xattr"}
    outcome = prison.run("identity", QUIET, share)
    assert outcome.value == {
        "uids": [12345] * 3,
        "gids": [23456] * 3,
        "groups": [],
        "capabilities": [],
        "effective": True,
    }
    assert prison.run("work", WALLS, share).end == "done"


def test_limits(prison: Prison) -> None:
    assert prison.run("limits", [LIMITS]).value == {"core": 0, "memlock": 0}


def test_read_only_share_cannot_be_written_below_the_policy(
    prison: Prison, kernel: dict[str, str]
) -> None:
    for wall in ("namespaces", "landlock"):
        need(kernel, wall)
        outcome = prison.run("write_below_read_only", [wall, "privileges"], {"read-only": "1"})
        assert outcome.end in ("failed: Read-only file system", "failed: Permission denied")


def test_of_what_was_open_only_the_needed_is_left(prison: Prison) -> None:
    found = prison.run("descriptors", ()).value
    assert prison.nodes["path"] in found
    # The prison has the root directory open, and its standard input and output.
    assert "/" not in found
    assert found.count("/dev/null") >= 3


def test_required_wall_that_is_missing_is_a_refusal(prison: Prison) -> None:
    outcome = prison.run("read_by_path", ["privileges"], required=["seccomp"])
    assert outcome.end == "refused: the configuration requires the wall seccomp: it is off"


@needs_root
def test_required_wall_that_is_not_permitted_is_a_refusal(prison: Prison) -> None:
    outcome = prison.run("read_by_path", required=["namespaces"], uid=54321)
    assert outcome.end == "refused: the configuration requires the wall namespaces: not permitted"


@needs_root
def test_what_dom0_unmounts_is_not_kept_busy(prison: Prison) -> None:
    outcome = prison.run("follow_dom0", [NAMESPACES])
    assert outcome.value == [["inside"], []]


@needs_root
def test_where_the_root_cannot_be_left_the_other_walls_hold(
    prison: Prison, kernel: dict[str, str], place: Path
) -> None:
    """A Dom0 on its initramfs: what was mounted over /proc for pivot_root(2) must go again."""
    need(kernel, NAMESPACES)
    outcome = prison.run("see_proc", QUIET, {"path": "/export"}, root=place / "mountpoint")
    assert outcome.end == "done"
    assert outcome.walls == {
        wall: "Invalid argument" if wall == NAMESPACES else kernel[wall] for wall in QUIET
    }
    assert outcome.value is True


def test_a_thread_outside_the_walls_is_refused() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="outside the walls"):
            Sandbox(Plan((LIMITS,), frozenset(), None, read_only=False)).shut()
    finally:
        over.set()
        thread.join()


def test_states() -> None:
    assert missing({"landlock": "holds"}) == []
    assert missing({"landlock": "holds", "seccomp": "no library"}) == ["no seccomp: no library"]
    assert len(missing({})) == 1
