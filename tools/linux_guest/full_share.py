"""A full share through Linux's mount: what a program is told it has written is there, and no more.

``python -m tools.linux_guest.full_share [KERNEL]``, in both dialects.  Linux 6.12, told of a part
of a write and then of an error, writes the rest in the place of that part and tells of no error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.linux_guest.check import PORT, guest, main
from tools.linux_guest.machine import ADDRESS
from tools.linux_guest.mounts import DIALECTS, MSIZE

if TYPE_CHECKING:
    from tools.linux_guest.machine import Machine

LOGS: Final = Path(__file__).resolve().parent.parent.parent / "build" / "full-share"
EXPORT: Final = LOGS / "export"

WRITE: Final = """
python3 - <<'PY'
import os
file = os.open("/mnt/file", os.O_WRONLY | os.O_CREAT, 0o600)
pattern = b"".join(b"%7d\\n" % number for number in range(1 << 18))
done = 0
try:
    while done < len(pattern):
        done += os.write(file, pattern[done:done + 65528])
except OSError as error:
    print(done, error.strerror)
PY
"""
"""As much as there is room for; a piece ends within a block."""


def filled(machine: Machine, dialect: str) -> list[str]:
    """What is not as it must be, in one dialect."""
    options = f"trans=tcp,port={PORT},version={dialect},msize={MSIZE},cache=none"
    said = machine.run(f"mount -t 9p -o {options} {ADDRESS} /mnt && {WRITE}", 120).output
    file = EXPORT / "file"
    found = file.read_bytes()
    whole = b"".join(b"%7d\n" % number for number in range(len(found) // 8))
    print(f"  {dialect}: {said.strip()}", flush=True)
    wrong = []
    if said != f"{len(found)} No space left on device\n" or not found:
        wrong.append(f"{dialect}: the file has {len(found)} bytes, and the program said {said}")
    if found != whole:
        wrong.append(f"{dialect}: the file has something else in it than was written")
    machine.run("rm /mnt/file; umount /mnt")
    return wrong


def run(series: str) -> list[str]:
    """All that is not as it must be."""
    with guest(series, LOGS, EXPORT, ["--max-space", "1"]) as machine:
        return [wrong for dialect in DIALECTS for wrong in filled(machine, dialect)]


if __name__ == "__main__":
    sys.exit(main("full-share", run, "what Linux's programs are told is so"))
