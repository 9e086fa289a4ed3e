"""In Dom0: has a stub domain send bytes to Dom0 in both ways, and times them there.

One way is a file of the share.  The other is ``/dev/hvc1``, the console that libxl means for a
state: its other end is a QEMU in Dom0, which writes ``qemu-save.DOMID``.  The stub domain's shell
does it (QEMU's ``migrate`` to ``exec:`` runs one): it makes the bytes, sends each amount some times
in either way, and puts what it measured into the share, last, where Dom0 reads it.

What is found is printed as JSON: seconds, by way and bytes; ``nowhere`` is what the commands take.
A file of the share is closed within its time, so it is on disk under its name; a console has no
such thing, and none is asked of it.
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

TIMES: Final = 3
SIZES: Final = (8 << 10, 128 << 10, 4 << 20)
_MARK: Final = "measured"
_SCRIPT: Final = f"""
(stty -F /dev/hvc1 raw
head -c {max(SIZES)} /dev/urandom >/run/bytes
for size in {" ".join(map(str, SIZES))}; do
    for way in nowhere:/dev/null console:/dev/hvc1 share:/state/save; do
        for time in $(seq {TIMES}); do
            start=$(date +%s%N)
            head -c $size /run/bytes | dd of=${{way#*:}} bs=64k iflag=fullblock 2>/dev/null
            echo ${{way%:*}} $size $(($(date +%s%N) - start))
        done
    done
done >/run/times
(echo {_MARK}; cat /run/times) >/state/save) </dev/null &
cat >/dev/null
"""


def measured(monitor: Monitor, domid: Domid) -> dict[str, list[float]]:
    """Seconds, by ``WAY BYTES``."""
    # Whatever comes of the migration itself; its command goes on.
    monitor.execute("migrate", {"uri": f"exec:{_SCRIPT}"})
    arrived = Path(f"/var/lib/xen/qemu-save.{domid}")
    deadline = time.monotonic() + SLOW
    while not (said := arrived.read_bytes()).startswith(_MARK.encode()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{arrived}: the stub domain's figures do not come")
        time.sleep(0.5)
    times: dict[str, list[float]] = {}
    for line in said.decode().splitlines()[1:]:
        way, size, nanoseconds = line.split()
        times.setdefault(f"{way} {size}", []).append(int(nanoseconds) / 1e9)
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
