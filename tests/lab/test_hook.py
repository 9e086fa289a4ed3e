"""``xl create`` of a guest with ``p9`` devices of ``type=xen_9pfsd``, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from backend.hook import Hook, state
from backend.hook.claim import directory, is_claimed
from backend.hook.daemon import daemons
from protocol.xenpv.ids import DOM0
from tests.lab import forked
from tests.lab.guests import LAB, MOUNTING, Guest, domains, xl
from tests.lab.service import LOG, command, mount, until
from tests.lab.unit import SYSTEMD, UNIT, systemctl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.xenpv.ports import Store
    from tests.lab.service import Service

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

SLOW: Final = 120.0
"""Seconds for what takes a few on a processor that is not emulated."""


@pytest.fixture(scope="module")
def theirs(service: Service) -> Iterator[Path]:
    """Xen's daemon is in its place, and nobody serves: as on a machine that was just installed."""
    places = [Path(place) for place, hook in state().items() if hook is Hook.THEIRS]
    if not places:
        pytest.skip("this Xen's xl has no p9 devices of type=xen_9pfsd (Xen 4.19 has)")
    service.close()
    yield places[0] / "xen-9pfsd"
    forked.run(("remove-hook", "--force"))
    for pid in daemons():
        os.kill(pid, signal.SIGKILL)
    if SYSTEMD.is_dir():
        systemctl("enable", UNIT)
    service.start()


def p9(tag: str, path: Path, *options: str) -> str:
    """A device in ``xl``'s syntax."""
    given = ["type=xen_9pfsd", f"tag={tag}", f"path={path}", "security_model=none", *options]
    return f'"{",".join(given)}"'


def config(*devices: str) -> str:
    return f"p9 = [ {', '.join(devices)} ]\n"


def mounted(tag: str) -> str:
    """The guest's command that mounts a share at ``/mnt/TAG``."""
    return mount(tag=tag, where=f"/mnt/{tag}")


def supervisor(store: Store) -> int:
    """The process that libxl believes to serve."""
    return int(store.read(f"{directory(DOM0)}/pid"))


def devices(store: Store) -> list[str]:
    try:
        return list(store.list("/local/domain/0/backend/xen_9pfs"))
    except FileNotFoundError:
        return []


def refused(*arguments: str) -> str:
    """Run a command of the program that must fail; its message."""
    done = forked.run(arguments)
    assert done.status == 1, done.output
    return done.errors


def test_xl_starts_us_and_what_the_guest_s_configuration_says_holds(
    theirs: Path, store: Store, tmp_path: Path
) -> None:
    assert "now xen-fileproxy; Xen's own is kept" in command("install-hook")
    assert not is_claimed(store, DOM0)
    one, two = tmp_path / "made" / "one", tmp_path / "two"
    shares = config(p9("one", one, "max-space=4", "max-files=8"), p9("two", two))
    ends = config(p9("one", two)) + 'on_reboot = "destroy"\n'
    with Guest(more=shares) as guest, Guest(more=ends) as other:
        assert len(devices(store)) == 2
        assert store.read(f"{directory(DOM0)}/state") == b"running"
        # Two shares made libxl run two launchers, for one supervisor.
        first = supervisor(store)
        assert b"run" in Path(f"/proc/{first}/cmdline").read_bytes()
        guest.check(f"{mounted('one')}; {mounted('two')}; echo hello > /mnt/two/file")
        assert (two / "file").read_text() == "hello\n"
        assert other.check(f"{mounted('one')}; cat /mnt/one/file") == "hello\n"
        full = guest.run("dd if=/dev/zero of=/mnt/one/big bs=64k count=128")
        assert full.status != 0
        assert "No space left on device" in full.output
        assert (one / "big").stat().st_size <= 4 << 20
        guest.check("rm /mnt/one/big; for n in 1 2 3 4 5 6 7 8; do echo > /mnt/one/$n; done")
        assert "quota exceeded" in guest.run("echo > /mnt/one/9").output
        xl("destroy", str(guest.domid))
        until(lambda: devices(store) == [str(other.domid)], SLOW, "nodes are left")
        # The other ends by itself, and xl clears it away.
        other.begin("reboot -f")
        until(lambda: domains() == [0], SLOW, "the domain is left")
    until(lambda: not devices(store), SLOW, "nodes are left")
    assert supervisor(store) == first


def test_a_supervisor_that_is_killed_is_replaced_and_the_next_guest_is_served(
    theirs: Path, store: Store, tmp_path: Path
) -> None:
    first = supervisor(store)
    os.kill(first, signal.SIGKILL)
    # Nobody else: libxl finds the node, and would wait ten seconds for a device that nobody offers.
    until(lambda: supervisor(store) != first, SLOW, "nobody takes over")
    with Guest(more=config(p9("one", tmp_path))) as guest:
        guest.check(f"{mounted('one')}; echo again > /mnt/one/file")
        assert (tmp_path / "file").read_text() == "again\n"
        # As long as it is used, it is not taken away.
        assert f"xen-fileproxy serves {guest.domid}/0" in refused("remove-hook")
        assert theirs.is_symlink()


def test_theirs_is_given_back_serves_and_is_replaced_again(
    theirs: Path, store: Store, tmp_path: Path
) -> None:
    until(lambda: not devices(store), SLOW, "nodes are left")
    assert "now Xen's own" in command("remove-hook")
    assert not theirs.is_symlink()
    until(lambda: not is_claimed(store, DOM0), SLOW, "libxl believes that we serve")
    # Their daemon keeps xl's terminal: with a pipe there, nobody would see the end of it.
    file = Path("/run/theirs.cfg")
    file.write_text(
        f'name = "theirs"\ntype = "pv"\nmemory = {MOUNTING.memory}\nkernel = "{LAB}/vmlinux"\n'
        f'ramdisk = "{LAB}/{MOUNTING.file}"\nextra = "console=hvc0 rdinit=/init quiet"\n'
        + config(p9("one", tmp_path))
    )
    with LOG.open("ab") as log:
        subprocess.run(["xl", "create", file], stdout=log, stderr=log, check=True)
    domid = int(xl("domid", "theirs"))
    assert len(daemons()) == 1
    state_node = f"/local/domain/0/backend/xen_9pfs/{domid}/0/state"
    until(lambda: store.read(state_node) == b"4", SLOW, "the guest does not connect")
    # The udev rule has the script called for their device too: it starts nobody beside them.
    assert "no supervisor" in refused("status")
    assert "xen-9pfsd (process" in refused("run")
    assert f"serves {domid}/0, and a running guest" in refused("install-hook")
    xl("destroy", str(domid))
    until(lambda: not devices(store), SLOW, "nodes are left")
    command("install-hook")
    assert daemons() == []
    with Guest(more=config(p9("one", tmp_path))) as guest:
        guest.check(f"{mounted('one')}; echo ours > /mnt/one/file")
        assert (tmp_path / "file").read_text() == "ours\n"
