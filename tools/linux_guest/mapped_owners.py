"""One directory served by QEMU and by us as ``mapped-xattr``: each reads what the other wrote.

``python -m tools.linux_guest.mapped_owners [KERNEL]``: in a Linux guest a tree of every kind of
file, owner and mode is made through the one and shown by both, then changed through the other and
shown again.  What is shown must be what the guest's own tmpfs shows, and what lies in Dom0 must be
the same, whoever wrote it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.linux_guest.check import PORT, guest, main
from tools.linux_guest.errors import GuestError
from tools.linux_guest.machine import ADDRESS, Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.linux_guest.machine import Machine

LOGS: Final = Path(__file__).resolve().parent.parent.parent / "build" / "mapped-owners"
TMPFS: Final = "/tmp"  # noqa: S108 -- the guest's
OPTIONS: Final = "version=9p2000.L,msize=524288,cache=none,access=client,posixacl"
MOUNTS: Final = {
    "us": f"mount -t 9p -o trans=tcp,port={PORT},{OPTIONS} {ADDRESS} /mnt/us",
    "QEMU": f"mount -t 9p -o trans=virtio,{OPTIONS} peer /mnt/QEMU",
}


def in_guest(machine: Machine, script: str) -> list[str]:
    """The lines that a script printed.  Raises ``GuestError`` where it failed."""
    job = machine.run(script, 120)
    if job.status:
        raise GuestError(f"{script}: status {job.status}\n{job.output}")
    return job.output.splitlines()


def owners(machine: Machine, directory: str, *steps: str) -> list[str]:
    """What ``owners.py`` prints."""
    return in_guest(machine, f"python3 /guest/workloads/owners.py {directory} {' '.join(steps)}")


def differences(machine: Machine, writer: str, reader: str) -> Iterator[str]:
    """What is not as it must be where ``writer`` made the files and ``reader`` changes them."""
    name = f"by-{writer}"
    for step, by in (("make", writer), ("change", reader)):
        wanted = owners(machine, f"{TMPFS}/{name}", step, "show")
        owners(machine, f"/mnt/{by}/{name}", step)
        for eye in (writer, reader):
            seen = owners(machine, f"/mnt/{eye}/{name}", "show")
            what = f"{step} by {by}, shown by {eye}"
            yield from (f"{what}: missing {line}" for line in wanted if line not in seen)
            yield from (f"{what}: instead {line}" for line in seen if line not in wanted)


def on_disk(directory: Path) -> dict[str, object]:
    """All that Dom0 has of a tree but times and inode numbers."""
    found: dict[str, object] = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        attributes = {name: os.getxattr(path, name).hex() for name in sorted(os.listxattr(path))}
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(directory))] = (
            oct(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_nlink,
            attributes,
            content,
        )
    return found


def run(series: str) -> list[str]:
    """All that is not as it must be."""
    export, mapped = LOGS / "export", "mapped-xattr"
    peers = [Peer("peer", export, mapped)]
    with guest(series, LOGS, export, ["--security-model", mapped], peers) as machine:
        for name, command in MOUNTS.items():
            in_guest(machine, f"mkdir -p /mnt/{name} && {command}")
        found = [
            *differences(machine, "us", "QEMU"),
            *differences(machine, "QEMU", "us"),
        ]
        # Each changed what the other had made, so both trees are of both hands by now.
        for name in ("us", "QEMU"):
            owners(machine, f"/mnt/{name}/alone-{name}", "make")
        ours, theirs = on_disk(export / "alone-us"), on_disk(export / "alone-QEMU")
        found += [
            f"Dom0 has {path}: from us {ours.get(path)}, from QEMU {theirs.get(path)}"
            for path in sorted({*ours, *theirs})
            if ours.get(path) != theirs.get(path)
        ]
    return found


if __name__ == "__main__":
    sys.exit(main("mapped owners", run, "QEMU and xen-fileproxy agree, both ways"))
