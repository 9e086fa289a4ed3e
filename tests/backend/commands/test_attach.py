"""``attach``: to whom, what it waits for, and what it says when that does not come."""

from __future__ import annotations

import contextlib
import signal
import threading
from argparse import Namespace
from typing import TYPE_CHECKING

import pytest
import pyxs
from pyxs.client import Op

from backend.cli import main
from backend.commands.attach import _wait
from backend.commands.failure import CommandError
from backend.platform import open_platform
from backend.toolstack import ends
from protocol.xenpv.ids import DOM0, Devid, Domid
from tests.backend.supervisor.guest import Guest
from tests.backend.supervisor.program import Program, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from protocol.xenpv.ports import Store
    from tests.backend.supervisor.program import Supervisor

    Attach = Callable[..., int]

BACKEND = "/local/domain/0/backend/xen_9pfs"


@pytest.fixture
def store(hypervisor: EmbeddedHypervisor, platform: str) -> Iterator[Store]:
    """Dom0's XenStore, with domain 5 in it."""
    hypervisor.create_domain(5)
    with contextlib.closing(open_platform(platform).store()) as store:
        yield store


@pytest.fixture
def attach(platform: str, export: Path) -> Attach:
    def run(domain: str, *options: str, path: str = str(export)) -> int:
        return main(["attach", domain, "--platform", platform, "--path", path, *options])

    return run


def test_attach_waits_for_the_offer_and_detach_takes_everything_away(
    supervisor: Supervisor,
    store: Store,
    platform: str,
    attach: Attach,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in range(2):
        assert attach("5", "--until", "offered", "--tag", f"tag{number}") == 0
        assert capsys.readouterr().out == f"5/{number}\n"
        device = supervisor.device(5, number)
        assert device is not None
        assert device["state"] == "init_wait"
    for number in range(2):
        assert main(["detach", "5", "--platform", platform, "--devid", str(number)]) == 0
    assert main(["detach", "5", "--platform", platform, "--devid", "0"]) == 1
    assert f"{BACKEND}/5/0: no such device" in capsys.readouterr().err
    # It can be attached again, at once, and the domain be named.
    assert attach("embedded-5", "--until", "offered") == 0
    assert capsys.readouterr().out == "5/0\n"


@pytest.mark.parametrize("option", [[], ["--until", "connected"]])
def test_attach_waits_for_a_driver_that_answers(
    supervisor: Supervisor, store: Store, platform: str, attach: Attach, option: list[str]
) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(attach("5", *option)))
    thread.start()
    with Guest(platform, 5) as guest:
        guest.connect()
        thread.join(20)
        guest.disconnect()
    assert codes == [0]
    assert supervisor.process.poll() is None


def test_a_driver_that_does_not_answer_is_told_of_and_fails_whom_asked_for_it(
    supervisor: Supervisor, store: Store, attach: Attach, capsys: pytest.CaptureFixture[str]
) -> None:
    # The supervisor must have seen the domain's directory, or a short wait would end before it did.
    assert attach("5", "--until", "offered", "--tag", "first") == 0
    capsys.readouterr()
    assert attach("5", "--wait", "2") == 0
    out, err = capsys.readouterr()
    assert out == "5/1\n"
    assert err == (
        "5/1: attached, but the guest's driver did not connect within 2 s; "
        "load it (in Linux, 9pnet_xen)\n"
    )
    assert attach("5", "--wait", "2", "--until", "connected", "--tag", "third") == 1
    assert "5/2: attached, but the guest's driver did not connect" in capsys.readouterr().err
    assert supervisor.device(5, 2) is not None


def test_a_driver_that_nobody_serves_is_told_from_one_that_is_silent(
    store: Store, attach: Attach
) -> None:
    assert attach("5", "--wait", "0") == 0
    device = ends(DOM0, Domid(5), Devid(0))
    # The guest has answered a supervisor that is no more.
    store.write(f"{device.backend}/state", b"2")
    store.write(f"{device.frontend}/state", b"3")
    with pytest.raises(CommandError, match="5/0: attached, but the supervisor had no worker for"):
        _wait(store, device, "5/0", Namespace(until="connected", wait=0.1))


def test_a_share_that_the_supervisor_refuses_is_removed_and_may_be_attached_anew(
    supervisor: Supervisor,
    store: Store,
    platform: str,
    attach: Attach,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Nothing that attach checks: a handshake that the guest spoils.
    def spoil() -> None:
        with Guest(platform, 5) as guest:
            guest.wait(lambda: guest.backend_state() == 2)
            guest.publish(version=b"7")

    thread = threading.Thread(target=spoil)
    thread.start()
    assert attach("5") == 1
    thread.join(20)
    err = capsys.readouterr().err
    assert "5/0: closed by the backend, and removed: version is '7'" in err
    assert attach("5", "--until", "offered") == 0


def test_what_cannot_be_exported_is_refused_before_anything_is_written(
    store: Store,
    place: Path,
    attach: Attach,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (place / "file").write_bytes(b"")
    for name, reason in (("none", "No such file or directory"), ("file", "Not a directory")):
        path = str(place / name)
        assert attach("5", path=path) == 1
        assert capsys.readouterr().err == f"xen-fileproxy: error: export path {path}: {reason}\n"
    config = place / "config.toml"
    config.write_text('allowed-exports = ["/srv/nothing"]\n')
    assert attach("5", "--config", str(config)) == 1
    assert "not below an entry of allowed-exports" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError):
        store.list(BACKEND)


def test_domains_that_can_be_given_nothing(
    store: Store,
    hypervisor: EmbeddedHypervisor,
    attach: Attach,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert attach("9") == 1
    assert "domain 9: no such domain" in capsys.readouterr().err
    for dom0 in ("0", "Domain-0"):
        assert attach(dom0) == 1
        assert "domain 0 is this one: it serves shares" in capsys.readouterr().err
    # As xenstored lets a domain go that is dying, while its toolstack still holds its nodes.
    with pyxs.Client(unix_socket_path=hypervisor.store_path()) as client:
        client.ack(Op.RELEASE, b"5\0")
    assert store.read("/local/domain/5/name") == b"embedded-5"
    assert attach("5") == 1
    assert "domain 5 is dying" in capsys.readouterr().err


def test_a_tag_is_taken_once_in_a_domain_whoever_wrote_it(
    store: Store,
    hypervisor: EmbeddedHypervisor,
    attach: Attach,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert attach("5", "--wait", "0") == 0
    hypervisor.create_domain(6)
    assert attach("6", "--wait", "0") == 0
    # Of another backend, as libxl gives a guest one with type=qemu.
    store.write("/local/domain/5/device/9pfs/3/tag", b"of-qemu")
    # The guest's own doing changes nothing about what its devices are called here.
    store.write("/local/domain/5/device/9pfs/0/tag", b"else")
    for tag in ("share", "of-qemu", "else"):
        assert attach("5", "--tag", tag) == 1
        assert f'domain 5 has a device with the tag "{tag}" already' in capsys.readouterr().err
    assert store.list(f"{BACKEND}/5") == ["0"]


def test_without_a_supervisor_the_wait_is_bounded(
    store: Store, platform: str, attach: Attach, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attach("5", "--wait", "0") == 0
    assert attach("5", "--wait", "0.1", "--tag", "second") == 1
    err = capsys.readouterr().err
    assert "5/1: attached, but no supervisor took it within 0.1 s; start one with" in err
    detach = ["detach", "5", "--platform", platform, "--devid", "0", "--wait", "0.1"]
    assert main(detach) == 1
    assert "5/0: the backend did not close within 0.1 s; --force" in capsys.readouterr().err
    assert main([*detach, "--force"]) == 0
    assert store.list(f"{BACKEND}/5") == ["1"]


@pytest.mark.parametrize("command", ["attach", "detach"])
def test_an_interrupt_says_where_to_look(
    store: Store, platform: str, export: Path, attach: Attach, command: str
) -> None:
    # Without a supervisor both wait, and what they wrote before says that they do.
    options, name, node, value = ["--path", str(export)], 'domain 5, tag "share"', "state", b"1"
    if command == "detach":
        assert attach("5", "--wait", "0") == 0
        options, name, node, value = [], "5/0", "online", b"0"

    def waits() -> bool:
        try:
            return store.read(f"{BACKEND}/5/0/{node}") == value
        except FileNotFoundError:
            return False

    program = Program(command, "5", "--platform", platform, "--wait", "60", *options)
    wait_until(waits, f"{command} does not wait")
    assert program.stop(signal.SIGINT) == 130
    (line,) = program.lines
    assert line.startswith(f"{name}: interrupted; 'xen-fileproxy list 5' shows whether it is")


def test_embedded_commands(
    hypervisor: EmbeddedHypervisor, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--dir", str(place / "hv")]
    assert main(["embedded", "create", "7", *where]) == 0
    assert main(["embedded", "create", "7", *where]) == 1
    assert capsys.readouterr().err.startswith("xen-fileproxy: error: ")
    assert main(["embedded", "list", *where]) == 0
    assert capsys.readouterr().out == "0\n7\n"
    assert main(["embedded", "destroy", "7", *where]) == 0
    assert hypervisor.domains() == [0]
