"""A toolstack's limits, from XenStore's nodes to what a program in a guest sees."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from frontend_stub.connect import connect_device
from frontend_stub.share import Share
from protocol.xenpv.ids import Domid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tools.testbed import Testbed

GUEST, OTHER = Domid(5), Domid(6)
MIB = 1 << 20


def code_of(attempt: Callable[[], object]) -> int | None:
    """The errno that it fails with."""
    with pytest.raises(OSError, match=r".+") as caught:
        attempt()
    return caught.value.errno


def fill(share: Share, name: str) -> None:
    """Write until there is no room, not even for a little."""
    with share.open(name, os.O_WRONLY | os.O_CREAT) as file:
        assert code_of(lambda: file.pwrite(os.urandom(8 * MIB), 0)) == errno.ENOSPC
        blocks = range(0, 8 * MIB, 4096)
        assert code_of(lambda: [file.pwrite(bytes(4096), at) for at in blocks]) == errno.ENOSPC


def test_two_guests_share_a_root_and_its_limits(bed: Testbed, export: Path) -> None:
    (export / "from dom0").write_bytes(os.urandom(MIB))
    for domid in (GUEST, OTHER):
        bed.attach(domid, "--path", str(export), "--max-space", "4", "--max-files", "5")
    with (
        Share.attach(connect_device(bed.platform, GUEST)) as one,
        Share.attach(connect_device(bed.platform, OTHER)) as two,
    ):
        space = one.statfs()
        assert (space.total, space.files, space.files_free) == (4 * MIB, 5, 4)
        assert 2.9 * MIB < space.available <= 3 * MIB
        fill(one, "large")
        assert code_of(lambda: two.open("more", os.O_WRONLY | os.O_CREAT)) == errno.ENOSPC
        assert two.statfs().available < 64 << 10
        used = sum(path.stat().st_blocks * 512 for path in export.iterdir())
        assert 3.9 * MIB < used <= 4 * MIB
        # What one guest removes, the other may use.
        one.remove("large")
        for number in range(4):
            two.open(f"{number}", os.O_WRONLY | os.O_CREAT).close()
        assert code_of(lambda: one.mkdir("no more")) == errno.EDQUOT
        fill(two, "0")
    # The limits hold after a restart: everything is counted again.
    with Share.attach(connect_device(bed.platform, GUEST)) as again:
        space = again.statfs()
        assert (space.files_free, space.available < 64 << 10) == (0, True)


def test_auto_delete_makes_room_for_a_guest(bed: Testbed, export: Path) -> None:
    for age in (1, 2, 3):
        path = export / f"f{age}"
        path.write_bytes(os.urandom(MIB))
        os.utime(path, (0, 1_000_000 - age))
    bed.attach(GUEST, "--path", str(export), "--max-space", "4", "--auto-delete")
    with Share.attach(connect_device(bed.platform, GUEST)) as share:
        with share.open("new", os.O_WRONLY | os.O_CREAT) as file:
            assert file.pwrite(os.urandom(2 * MIB), 0) == 2 * MIB
        assert set(share.listdir()) == {"f1", "new"}
    assert "auto-delete: b'f3'" in bed.log.read_text()
