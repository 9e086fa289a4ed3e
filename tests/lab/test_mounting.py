"""An unmodified Linux guest mounts shares that were attached while it ran."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from backend.toolstack import ends
from protocol.xenpv.device import MAX_RING_ORDER, MAX_RINGS, BackendOffer, backend_nodes
from protocol.xenpv.ids import DOM0, Devid
from tests.lab.service import attach, command, mount, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protocol.xenpv.ports import Store, StoreView
    from tests.lab.guests import Guest
    from tests.lab.service import Service

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

WORK = """
cd /mnt/share
dd if=/dev/urandom of=from-guest bs=128k count=8 2>/dev/null
for file in from-dom0 from-guest; do
    dd if=$file bs=128k 2>/dev/null | sha256sum | cut -d' ' -f1
done
mkdir folder; echo hello > folder/file; mv folder/file folder/renamed
cat folder/renamed; ls folder; rm -r folder
cd /; umount /mnt/share
"""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def _given_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test its guest has no share, or the next one would fail with it."""
    (name,) = {"guest", "each_guest"}.intersection(request.fixturenames)
    guest: Guest = request.getfixturevalue(name)
    yield
    guest.run("umount -a -t 9p")
    for device in json.loads(command("list", guest.name, "--json")):
        command("detach", guest.name, "--devid", str(device["devid"]), "--force")


@pytest.mark.parametrize("cache", ["none", "loose"])
@pytest.mark.parametrize("dialect", ["9p2000.L", "9p2000.u"])
def test_what_the_guest_writes_is_in_dom0_and_the_other_way_round(
    service: Service, each_guest: Guest, export: Path, dialect: str, cache: str
) -> None:
    (export / "from-dom0").write_bytes(os.urandom(1_000_001))
    device = attach(each_guest.domid, export)
    each_guest.check(mount(dialect, f"cache={cache}"))
    (shown,) = service.devices()
    assert (shown["dialect"].lower(), shown["msize"]) == (dialect.lower(), 524288)
    seen = each_guest.check(WORK).split()
    assert seen == [sha256(export / "from-dom0"), sha256(export / "from-guest"), "hello", "renamed"]
    assert sorted(os.listdir(export)) == ["from-dom0", "from-guest"]
    command("detach", str(each_guest.domid), "--devid", device)
    assert service.devices() == []


@pytest.mark.parametrize(
    ("asked", "agreed"),
    # Linux's own choice is 128 KiB, and from 6.12 on a header; what does not fit a ring, it cuts.
    [(4096, {4096}), (None, {131072, 131096}), (524288, {524288}), (1 << 20, {524288})],
)
def test_message_sizes(
    service: Service, guest: Guest, export: Path, asked: int | None, agreed: set[int]
) -> None:
    (export / "from-dom0").write_bytes(os.urandom(1_000_001))
    attach(guest.domid, export)
    guest.check(mount(msize=asked))
    (shown,) = service.devices()
    assert shown["msize"] in agreed
    seen = guest.check(WORK).split()
    assert seen[:2] == [sha256(export / "from-dom0"), sha256(export / "from-guest")]


def test_mounted_again_and_again(service: Service, guest: Guest, export: Path) -> None:
    attach(guest.domid, export)
    for dialect, options in (
        ("9p2000.L", "cache=none"),
        ("9p2000.u", "cache=none"),
        ("9p2000.L", "cache=loose"),
    ):
        guest.check(mount(dialect, options))
        guest.check(f"echo {dialect} >> /mnt/share/log; cat /mnt/share/log")
        guest.check("umount /mnt/share")
    assert (export / "log").read_text() == "9p2000.L\n9p2000.u\n9p2000.L\n"
    (shown,) = service.devices()
    assert (shown["state"], shown["fids"]) == ("connected", 0)


def test_two_shares_with_different_rules(service: Service, guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "hello").write_text("hello\n")
    (tmp_path / "scratch").mkdir()
    attach(guest.domid, tmp_path / "tools", "--read-only", tag="tools")
    attach(guest.domid, tmp_path / "scratch", "--max-files", "3", tag="scratch")
    for tag in ("tools", "scratch"):
        guest.check(mount(tag=tag, where=f"/mnt/{tag}"))
    listed = json.loads(command("list", guest.name, "--json"))
    assert [
        (device["domain"], device["devid"], device["tag"], device["state"]) for device in listed
    ] == [(guest.name, 0, "tools", "connected"), (guest.name, 1, "scratch", "connected")]
    copied = guest.run(
        "cd /mnt/scratch && cp /mnt/tools/hello one && cp one two && cp two three && cp three four"
    )
    assert copied.status == 1
    assert "Disk quota exceeded" in copied.output
    refused = guest.run("cp /mnt/scratch/one /mnt/tools/one")
    assert refused.status == 1
    assert "Read-only file system" in refused.output
    assert sorted(os.listdir(tmp_path / "scratch")) == ["one", "three", "two"]
    assert os.listdir(tmp_path / "tools") == ["hello"]
    # One of them goes, and the other does not notice.
    guest.check("umount /mnt/scratch")
    command("detach", guest.name, "--tag", "scratch")
    assert guest.check("cat /mnt/tools/hello; umount /mnt/tools").strip() == "hello"
    command("detach", guest.name)
    assert json.loads(command("list", "--json")) == []


def announce(store: Store, backend: str) -> None:
    """The supervisor's first step: offer the share, go to InitWait."""

    def body(view: StoreView) -> None:
        for name, value in backend_nodes(BackendOffer(MAX_RINGS, MAX_RING_ORDER)).items():
            view.write(f"{backend}/{name}", value)
        view.write(f"{backend}/state", b"2")

    store.transact(body)


def test_a_mount_that_comes_before_connected(
    service: Service, store: Store, guest: Guest, export: Path
) -> None:
    (export / "hello").write_text("hello\n")
    # The supervisor stands still, and what it would do first is done for it; so the guest's rings
    # are there, its mount waits in one of them, and nobody has looked.
    os.kill(service.pid, signal.SIGSTOP)
    try:
        device = ends(DOM0, guest.domid, Devid(int(attach(guest.domid, export, "--wait", "0"))))
        announce(store, device.backend)
        path = f"{device.frontend}/state"
        until(lambda: store.read(path) == b"3", 300, "the guest offers no rings")
        job = guest.begin(
            f"{mount()} & pid=$!\n"
            "until cat /proc/[0-9]*/wchan 2>/dev/null | grep -q p9_client_rpc; do\n"
            '    [ -d "/proc/$pid" ] && sleep 0.3 || exit 9\n'
            "done\n"
            "echo '#waiting' >/dev/hvc0\n"
            "wait $pid && cat /mnt/share/hello",
            600,
        )
        while guest.line(300) != "#waiting":
            pass
    finally:
        os.kill(service.pid, signal.SIGCONT)
    ended = guest.finish(job, 600)
    assert (ended.status, ended.output.strip()) == (0, "hello")


def test_all_walls_of_the_sandbox_hold(service: Service, guest: Guest, export: Path) -> None:
    attach(guest.domid, export)
    guest.check(mount())
    (shown,) = service.devices()
    assert set(shown["walls"].values()) == {"holds"}
