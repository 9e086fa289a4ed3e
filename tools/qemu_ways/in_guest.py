"""The guest's half of an entry, at the end of the kernel's mount.

``python3 -m tools.qemu_ways.in_guest NAME`` prints what there is to say of it, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tools.qemu_ways.chardevs import Chardev, serve
from tools.qemu_ways.mount_end import Mounted
from tools.qemu_ways.qemu import FAULTS, version
from tools.qemu_ways.shares import ENTRIES
from tools.qemu_ways.stand import Stand
from tools.qemu_ways.states import Way, try_way

QEMU: Final = ("qemu-system-x86_64",)
SHARE: Final = Path("/mnt/share")
FULL: Final = Path("/mnt/full")


def main() -> None:
    """Do it; an error is the last line."""
    (entry,) = (entry for entry in ENTRIES if entry.name == sys.argv[1])
    with TemporaryDirectory() as name:
        scratch = Path(name)
        end, full = Mounted(SHARE, scratch), Mounted(FULL, scratch)
        stand = Stand(QEMU, version(QEMU), end, full, scratch)
        said: object = None
        try:
            if isinstance(entry, Way):
                said = try_way(entry, stand)
            elif isinstance(entry, Chardev):
                serve(entry, stand)
            else:
                said = entry.run(stand, entry.name)
        except FAULTS as error:
            sys.exit(f"{type(error).__name__}: {error}")
        print(json.dumps(said))


if __name__ == "__main__":
    main()
