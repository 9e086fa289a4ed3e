"""In Dom0: has a stub domain's QEMU write its guest's memory to Dom0, in both ways, and times it.

``pmemsave`` writes a piece of memory to a file of the stub domain: to one of the share, or to
``/dev/hvc1``, the console that libxl means for a state.  The latter's other end is a QEMU in Dom0,
which writes ``qemu-save.DOMID``, the file that the share has as ``save``.  Either is timed from
Dom0, from the request until all bytes are in that file.  The console goes first, as the share puts
another file in the place of the one that Dom0's QEMU has open.

What is found is printed as JSON: seconds, by way and bytes, and of a request that does nothing.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backend.channel.qmp import Monitor
from backend.config import Config
from backend.stubdom.state_share import MONITOR
from tests.lab.service import Service, command
from tests.lab.stub_domains import SLOW, StubbedGuest

if TYPE_CHECKING:
    from protocol.xenpv.ids import Domid

WAYS: Final = {"console": "/dev/hvc1", "share": "/state/save"}
SIZES: Final = (8 << 10, 128 << 10, 1 << 20)
TIMES: Final = 3
_MEMORY: Final = 16 << 20
"""Where memory is read: nobody uses it, so it has no newline that a terminal doubles."""


def measured(monitor: Monitor, domid: Domid) -> dict[str, list[float]]:
    """Seconds, by ``WAY BYTES``."""
    arrived = Path(f"/var/lib/xen/qemu-save.{domid}")
    times: dict[str, list[float]] = {"request 0": []}
    for _ in range(TIMES):
        start = time.monotonic()
        monitor.execute("query-status")
        times["request 0"].append(time.monotonic() - start)
    for way, path in WAYS.items():
        for size in SIZES:
            seconds = times.setdefault(f"{way} {size}", [])
            for _ in range(TIMES):
                before = arrived.stat().st_size if way == "console" else 0
                start = time.monotonic()
                monitor.execute("pmemsave", {"val": _MEMORY, "size": size, "filename": path})
                while arrived.stat().st_size < before + size:
                    if time.monotonic() > start + SLOW:
                        raise TimeoutError(f"{arrived}: {size} bytes do not come by the {way}")
                    time.sleep(0.001)
                seconds.append(time.monotonic() - start)
    return times


def main() -> None:
    """Measure, and print."""
    with Service():
        command("install-hook")
        with StubbedGuest() as guest:
            socket = f"{Config().run_dir}/{guest.domid}/{MONITOR}"
            with Monitor.connect(socket, SLOW) as monitor:
                times = measured(monitor, guest.domid)
        command("remove-hook", "--force")
    print(json.dumps(times))


if __name__ == "__main__":
    main()
