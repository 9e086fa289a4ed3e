"""A channel through Linux's mount: what ``cat`` and ``echo`` read and write, and Dom0 hears.

``python -m tools.linux_guest.channels [KERNEL]``, in both dialects.  Two processes have a direction
each, then one process has both; the client says less and more than a buffer, and than it hears.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.linux_guest.check import PORT, guest, main
from tools.linux_guest.machine import ADDRESS
from tools.linux_guest.mounts import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.linux_guest.machine import Machine

LOGS: Final = Path(__file__).resolve().parent.parent.parent / "build" / "channels"
SECONDS: Final = 120
MANY: Final = os.urandom(300_000).hex().encode()

# A buffer of cat is as large as Linux's default message, which holds some bytes less of it.
MSIZE: Final = 131_072

GREETING: Final = "greeting" * 20
BEYOND: Final = 1 << 62

TWO: Final = """
heard() { until grep -q "$1" /tmp/out; do sleep 0.1; done; echo "heard $1"; }
rm -f /tmp/out
exec 3</mnt/channel
dd bs=1 skip=BEYOND count=0 <&3 2>/dev/null
(cat <&3 >/tmp/out; echo END >>/tmp/out) &
exec 3<&-
echo GREETING >>/mnt/channel
heard one; echo one >>/mnt/channel
heard two; echo two >>/mnt/channel
heard three; stat -c %s /tmp/out; echo three >>/mnt/channel
heard END
wait
""".replace("GREETING", GREETING).replace("BEYOND", str(BEYOND))
"""Two processes; each line of the client is answered by its name.

Linux 6.12 would not be content with a line that is shorter than the greeting, were it not read from
``BEYOND`` what is written.
"""

ONE: Final = """
python3 - <<'PY'
import os
channel = os.open("/mnt/channel", os.O_RDWR)
os.write(channel, b"greeting\\n")
print(os.read(channel, 100), os.read(channel, 96), os.read(channel, 100))
PY
"""
"""One process, which asks for the rest of its buffer in a read(2) of its own."""

INTERRUPTED: Final = "timeout -s INT 1 cat /mnt/channel; echo status $?"
"""Nobody is in Dom0."""


def converse(path: Path) -> list[bytes]:
    """The client for ``TWO``: what it heard."""
    with connected(path) as client, client.makefile("rb") as lines:
        heard = [lines.readline()]
        for said in (b"one\n", b"x" * 200 + b"two\n", MANY + b"three\n"):
            client.sendall(said)
            heard.append(lines.readline())
    return heard


def dictate(path: Path) -> list[bytes]:
    """The client for ``ONE``."""
    with connected(path) as client, client.makefile("rb") as lines:
        heard = [lines.readline()]
        client.sendall(b"one\n")
        # The guest's next read finds nothing, and waits: long enough that it can be seen to.
        with contextlib.suppress(TimeoutError):
            client.settimeout(1)
            client.recv(1)
        client.sendall(b"two\n")
    return heard


def connected(path: Path) -> socket.socket:
    """A client of the channel."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(SECONDS)
    client.connect(str(path))
    return client


class Checks:
    """Runs scripts in the guest beside clients in Dom0, and keeps what is not as it must be."""

    def __init__(self, machine: Machine, path: Path) -> None:
        self._machine = machine
        self._path = path
        self.wrong: list[str] = []

    def mounted(self, dialect: str) -> None:
        """One mount, without a cache: what Linux keeps of a file, nobody hears."""
        options = f"trans=tcp,port={PORT},version={dialect},msize={MSIZE},cache=none"
        self._says(f"mount -t 9p -o {options} {ADDRESS} /mnt", "")
        self._says(INTERRUPTED, "status 124\n")
        size = len(b"one\n" + b"x" * 200 + b"two\n" + MANY + b"three\n")
        said = f"heard one\nheard two\nheard three\n{size}\nheard END\n"
        heard = [f"{GREETING}\n".encode(), b"one\n", b"two\n", b"three\n"]
        self._both(f"{dialect}, two processes", TWO, said, converse, heard)
        said = "b'one\\n' b'two\\n' b''\n"
        self._both(f"{dialect}, one process", ONE, said, dictate, [b"greeting\n"])
        self._says("umount /mnt", "")

    def _both(
        self,
        name: str,
        script: str,
        said: str,
        client: Callable[[Path], list[bytes]],
        heard: list[bytes],
    ) -> None:
        with ThreadPoolExecutor() as pool:
            other = pool.submit(client, self._path)
            self._says(script, said)
            found = other.result()
        if found != heard:
            self.wrong.append(f"{name}: Dom0 heard {found}")
        print(f"  {name}", flush=True)

    def _says(self, script: str, said: str) -> None:
        job = self._machine.run(script, SECONDS)
        if job.output != said:
            self.wrong.append(f"{script}: status {job.status}: {job.output}")


def run(series: str) -> list[str]:
    """All that is not as it must be."""
    with tempfile.TemporaryDirectory(prefix="xfp-") as scratch:
        path = Path(scratch, "channel")
        with guest(series, LOGS, LOGS / "export", ["--channel", f"channel={path}"]) as machine:
            checks = Checks(machine, path)
            for dialect in DIALECTS:
                checks.mounted(dialect)
    return checks.wrong


if __name__ == "__main__":
    sys.exit(main("channels", run, "Linux reads and writes them"))
