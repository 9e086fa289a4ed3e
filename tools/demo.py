"""``make demo``: a QEMU saves its state through the proxy, and another QEMU starts from it.

Everything but the hypervisor is what runs under Xen: the supervisor, a worker, XenStore's wire
protocol, grants and event channels between processes.  Where QEMU is not installed, a generated
file takes its state's place.  Ends with ``demo: ok``, or says what went wrong and exits with 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.testbed import Testbed, TestbedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

QEMU: Final = "qemu-system-x86_64"
MACHINE: Final = ("-M", "pc", "-m", "64", "-S", "-nodefaults", "-display", "none")
DOMID: Final = 7
STATE: Final = f"qemu-save.{DOMID}"
GENERATED_BYTES: Final = 64 << 20
DEADLINE: Final = 120.0


class DemoError(Exception):
    """What the demo shows is not so; the text says what."""


def say(text: str) -> None:
    """One line of the story."""
    print(f"  {text}", flush=True)


def sha256(path: Path) -> str:
    """The file's digest, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.asynccontextmanager
async def qemu(directory: Path, name: str, *arguments: str) -> AsyncIterator[Any]:
    """A QEMU and its monitor (``qemu.qmp.QMPClient``); it ends with the block."""
    from qemu.qmp import QMPClient

    monitor = QMPClient(name)
    socket = str(directory / f"{name}.qmp")
    await monitor.start_server(socket)
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [QEMU, *MACHINE, "-name", name, "-qmp", f"unix:{socket}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        await asyncio.wait_for(monitor.accept(), DEADLINE)
        yield monitor
        await monitor.execute("quit")
        await asyncio.to_thread(process.wait, DEADLINE)
    except Exception as error:
        text = log.read_text(errors="replace").strip()
        raise DemoError(f"{name}: {error or type(error).__name__}\n{text}") from error
    finally:
        with contextlib.suppress(Exception):
            await monitor.disconnect()
        if process.poll() is None:
            process.kill()
            process.wait()


async def migrated(monitor: Any) -> None:  # noqa: ANN401 -- qemu.qmp is a development dependency
    """Wait until the migration under way, out or in, has completed."""
    while True:
        status = (await monitor.execute("query-migrate")).get("status")
        if status == "completed":
            return
        if status in {"failed", "cancelled"}:
            raise DemoError(f"query-migrate says {status}")
        # The event says when to look again; its name is all that is needed of it.
        await asyncio.wait_for(monitor.events.get(), DEADLINE)


async def through_qemu(bed: Testbed, export: Path) -> None:
    """Save one QEMU's state with ``exec:... put``, start another with ``exec:... get``."""
    out, back = bed.dir / "put.json", bed.dir / "get.json"
    put = shlex.join(bed.front(DOMID, "put", "--json", "--sha256", "-", STATE))
    get = shlex.join(bed.front(DOMID, "get", "--json", "--sha256", STATE, "-"))
    async with qemu(bed.dir, "first") as monitor:
        await monitor.execute("migrate-set-capabilities", _events())
        say(f"first QEMU runs; migrate exec:xen-fileproxy-front put - {STATE}")
        await monitor.execute("migrate", {"uri": f"exec:{put} > {shlex.quote(str(out))}"})
        await migrated(monitor)
        say("first QEMU: query-migrate says completed")
    async with qemu(bed.dir, "second", "-incoming", "defer") as monitor:
        await monitor.execute("migrate-set-capabilities", _events())
        say(f"second QEMU waits; migrate-incoming exec:xen-fileproxy-front get {STATE} -")
        uri = f"exec:{get} 2> {shlex.quote(str(back))}"
        await monitor.execute("migrate-incoming", {"uri": uri})
        await migrated(monitor)
        status = (await monitor.execute("query-status"))["status"]
        if status not in {"prelaunch", "paused"}:
            raise DemoError(f"second QEMU: query-status says {status}")
        say(f"second QEMU: query-migrate says completed, query-status {status}")
    compare(export, json.loads(out.read_text()), json.loads(back.read_text()))


def _events() -> dict[str, Any]:
    return {"capabilities": [{"capability": "events", "state": True}]}


def through_file(bed: Testbed, export: Path) -> None:
    """The same with a generated file."""
    source, target = bed.dir / "generated", bed.dir / "returned"
    source.write_bytes(os.urandom(GENERATED_BYTES))
    put = front(bed, "put", "--json", "--sha256", str(source), STATE)
    get = front(bed, "get", "--json", "--sha256", STATE, str(target))
    if sha256(target) != sha256(source):
        raise DemoError("what came back is not what was sent")
    compare(export, put, get)


def front(bed: Testbed, *arguments: str) -> dict[str, Any]:
    """Run a frontend; its ``--json`` answer."""
    done = subprocess.run(
        bed.front(DOMID, *arguments), capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    if done.returncode:
        raise DemoError(f"{shlex.join(arguments)}: {done.stderr.strip()}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def compare(export: Path, put: dict[str, Any], get: dict[str, Any]) -> None:
    """Say what crossed the ring, how fast, and whether both sides saw the same bytes."""
    state = export / STATE
    size = state.stat().st_size
    for name, answer in (("put", put), ("get", get)):
        rate = answer["bytes"] / answer["seconds"] / 1e6
        say(f"{name}: {answer['bytes']:,} bytes in {answer['seconds']:.3f} s, {rate:,.0f} MB/s")
    digest = sha256(state)
    say(f"SHA-256 guest, sent      {put['sha256']}")
    say(f"SHA-256 Dom0, {STATE} {digest}")
    say(f"SHA-256 guest, received  {get['sha256']}")
    if not put["bytes"] == get["bytes"] == size:
        raise DemoError(f"{put['bytes']} bytes sent, {size} in the file, {get['bytes']} received")
    if not put["sha256"] == get["sha256"] == digest:
        raise DemoError("the three SHA-256 differ")


def story(bed: Testbed) -> None:
    """The whole demo on a running test bed."""
    export = bed.dir / "dom0-files"
    export.mkdir()
    bed.guest(DOMID, export, tag="state")
    say(f"hypervisor, supervisor and domain {DOMID} run; Dom0 shows it one empty folder")
    if shutil.which(QEMU):
        asyncio.run(through_qemu(bed, export))
    else:
        say(f"{QEMU} is not installed (apt install qemu-system-x86): a generated file of")
        say(f"{GENERATED_BYTES >> 20} MiB takes the place of a QEMU's state")
        through_file(bed, export)


def main() -> int:
    """Run the demo; the exit status."""
    print("xen-fileproxy demo")
    start = time.monotonic()
    try:
        with Testbed() as bed:
            story(bed)
    except (DemoError, TestbedError, OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or error
        print(f"demo: failed: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    say(f"everything is stopped and removed; {time.monotonic() - start:.1f} s")
    print("demo: ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
