"""The policy: which walls a process gets for its share, and what is left in them.

Capabilities of a worker that runs as root, by what the share needs:

| share | kept | why |
|---|---|---|
| directory, `security_model` none | CAP_CHOWN | the guest's owners, of new files and by Tsetattr |
| | CAP_DAC_OVERRIDE | the guest's kernel has checked the modes; files are everybody's |
| | CAP_FOWNER | chmod, times, links and sticky directories of files of any owner |
| | CAP_FSETID | set-id bits that the guest sets stay through chmod and chown |
| the same, read-only | CAP_DAC_OVERRIDE, CAP_FOWNER | reads any file, and leaves its access time |
| directory, mapped-xattr | none | it becomes the export's owner, and all files are his |
| named files | CAP_DAC_OVERRIDE, CAP_FOWNER | files of any owner; they change none |
| nothing but channels | none | their sockets are open already |

Model none cannot leave uid 0: nobody else may give files away, and a file that the guest's root
makes is root's.  Such a process is root by number only: SECBIT_NOROOT makes uid 0 an ordinary user.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backend.confinement.capabilities import CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID
from backend.confinement.walls import WALLS
from backend.share import SecurityModel

if TYPE_CHECKING:
    from backend.share import Share

_OTHERS_FILES: Final = frozenset((CAP_DAC_OVERRIDE, CAP_FOWNER))
_ALL_OWNERS: Final = _OTHERS_FILES | {CAP_CHOWN, CAP_FSETID}


@dataclass(frozen=True)
class Plan:
    """What one process gives up."""

    walls: tuple[str, ...]
    capabilities: frozenset[int]
    user: tuple[int, int] | None
    """The uid and gid to become."""
    read_only: bool


def plan_for(share: Share, walls: tuple[str, ...] = WALLS) -> Plan:
    """The plan for a process that serves ``share``.

    Raises ``OSError`` where the export cannot be looked at.
    """
    user = _user_for(share)
    return Plan(walls, _capabilities_for(share), user, share.read_only)


def _user_for(share: Share) -> tuple[int, int] | None:
    if (
        os.geteuid() != 0
        or not share.path
        or share.security_model is not SecurityModel.MAPPED_XATTR
    ):
        return None
    status = os.stat(share.path)
    return (status.st_uid, status.st_gid) if status.st_uid != 0 else None


def _capabilities_for(share: Share) -> frozenset[int]:
    if not share.files and (not share.path or share.security_model is SecurityModel.MAPPED_XATTR):
        return frozenset()
    return _OTHERS_FILES if share.files or share.read_only else _ALL_OWNERS
