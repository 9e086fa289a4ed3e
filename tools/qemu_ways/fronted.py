"""All entries of the table at our frontend's end: QEMU runs beside the embedded hypervisor."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from tools.qemu_ways.chardevs import Chardev
from tools.qemu_ways.ends import Gone
from tools.qemu_ways.frontend_end import Fronted
from tools.qemu_ways.qemu import version
from tools.qemu_ways.shares import Shares, cell, shares
from tools.qemu_ways.stand import CHANNEL, Stand
from tools.qemu_ways.states import Way, try_way
from tools.testbed import Testbed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.qemu_ways.shares import Entry

_GUEST: Final = 7
_FULL: Final = 8
"""A domain of its own for the second share: a frontend has one device to itself."""


class Frontend:
    """A guest whose frontend is ours, with any QEMU in it."""

    def __init__(self, stand: Stand, dom0: Shares) -> None:
        self.version: Final = stand.version
        self._stand: Final = stand
        self._dom0: Final = dom0

    def outcome(self, entry: Entry) -> str:
        """What came of it, in words for the table.  Raises what the entry does."""
        if reason := entry.not_for(self.version, Fronted.name):
            return reason
        if isinstance(entry, Way):
            self._dom0.check(entry, try_way(entry, self._stand))
        elif isinstance(entry, Chardev):
            with ExitStack() as stack:
                finish = entry.serve(self._stand, stack)
                entry.talk(self._dom0.socket)
                finish()
        else:
            said = ""
            with contextlib.suppress(Gone):
                said = entry.run(self._stand, entry.name)
            return cell(said, self._dom0.found(entry))
        return "ok"


@contextlib.contextmanager
def frontend(command: Sequence[str]) -> Iterator[Frontend]:
    """A hypervisor, a supervisor and two devices of ours."""
    with shares() as dom0, TemporaryDirectory(prefix="xfp-") as scratch, Testbed() as bed:
        bed.attach(_GUEST, *dom0.options())
        bed.attach(_FULL, "--path", str(dom0.full), *dom0.full_options())

        def end(domid: int) -> Fronted:
            channel = (CHANNEL, dom0.socket(CHANNEL))
            return Fronted(partial(bed.front, domid), Path(scratch), channel, dom0.file)

        stand = Stand(command, version(command), end(_GUEST), end(_FULL), Path(scratch))
        yield Frontend(stand, dom0)
