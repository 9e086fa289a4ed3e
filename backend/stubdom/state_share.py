"""The share that a stub domain is given: its two state files, its monitor, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from backend.config_kinds import TARGET
from backend.share import Commit, Direction, NamedChannel, NamedFile, Share

if TYPE_CHECKING:
    from backend.config import Stubdom

TAG: Final = "state"
MONITOR: Final = "qmp"
"""The channel of QEMU's monitor."""


def state_share(stubdom: Stubdom, run_dir: str, target: int) -> Share:
    """The share of the stub domain that works for domain ``target``.  Raises ``ShareError``.

    It commits atomically: what is under the name of the state is a whole one, on disk.  A named
    file is looked up when the guest asks for it, for libxl removes these and makes them anew.
    """

    def path_of(pattern: str) -> str:
        return pattern.replace(TARGET, str(target))

    def channel(entry: str, direction: Direction) -> NamedChannel:
        name, _, socket = entry.partition("=")
        return NamedChannel(name, path_of(socket or os.path.join(run_dir, TARGET, name)), direction)

    return Share(
        files=(
            NamedFile("save", path_of(stubdom.save), writable=True),
            NamedFile("restore", path_of(stubdom.restore), writable=False),
        ),
        channels=(
            channel(MONITOR, Direction.BOTH),
            *(channel(entry, Direction.BOTH) for entry in stubdom.channels),
            *(channel(entry, Direction.TO_GUEST) for entry in stubdom.channels_to_guest),
            *(channel(entry, Direction.FROM_GUEST) for entry in stubdom.channels_from_guest),
        ),
        commit=Commit.ATOMIC,
    )
