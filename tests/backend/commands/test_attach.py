"""``attach`` and ``detach``: what they wait for, and what they say when it does not come."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from backend.cli import main
from tests.backend.supervisor.guest import Guest

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from tests.backend.supervisor.program import Supervisor


def test_attach_waits_for_the_offer_and_detach_takes_everything_away(
    supervisor: Supervisor,
    hypervisor: EmbeddedHypervisor,
    platform: str,
    export: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hypervisor.create_domain(5)
    for number in range(2):
        assert main(["attach", "5", "--platform", platform, "--path", str(export)]) == 0
        assert capsys.readouterr().out == f"5/{number}\n"
        device = supervisor.device(5, number)
        assert device is not None
        assert device["state"] == "init_wait"
    for number in range(2):
        assert main(["detach", "5", "--platform", platform, "--devid", str(number)]) == 0
    assert main(["detach", "5", "--platform", platform]) == 1
    assert "/local/domain/0/backend/xen_9pfs/5/0: no such device" in capsys.readouterr().err
    # It can be attached again, at once.
    assert main(["attach", "5", "--platform", platform, "--path", str(export)]) == 0


def test_attach_until_connected(
    supervisor: Supervisor, hypervisor: EmbeddedHypervisor, platform: str, export: Path
) -> None:
    hypervisor.create_domain(5)
    arguments = ["attach", "5", "--platform", platform, "--path", str(export)]
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main([*arguments, "--until=connected"])))
    thread.start()
    with Guest(platform, 5) as guest:
        guest.connect()
        thread.join(20)
        guest.disconnect()
    assert codes == [0]
    assert supervisor.process.poll() is None


def test_attach_tells_why_a_share_was_refused(
    supervisor: Supervisor,
    hypervisor: EmbeddedHypervisor,
    platform: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hypervisor.create_domain(5)
    path = str(place / "none")
    assert main(["attach", "5", "--platform", platform, "--path", path]) == 1
    reason = f"5/0: closed by the backend: export path {path}: No such file or directory"
    assert capsys.readouterr().err == f"xen-fileproxy: error: {reason}\n"
    assert supervisor.process.poll() is None


def test_without_a_supervisor_or_a_guest_the_wait_is_bounded(
    hypervisor: EmbeddedHypervisor,
    platform: str,
    export: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hypervisor.create_domain(5)
    attach = ["attach", "5", "--platform", platform, "--path", str(export)]
    assert main([*attach, "--wait", "0"]) == 0
    assert main([*attach, "--wait", "0.1"]) == 1
    err = capsys.readouterr().err
    assert "5/1: attached, but no supervisor took it within 0.1 s; start one with" in err
    assert main(["detach", "5", "--platform", platform, "--wait", "0.1"]) == 1
    assert "5/0: the backend did not close within 0.1 s; --force" in capsys.readouterr().err
    assert main(["detach", "5", "--platform", platform, "--wait", "0.1", "--force"]) == 0
    assert main(["attach", "9", "--platform", platform, "--path", str(export)]) == 1
    assert "domain 9: no such domain" in capsys.readouterr().err


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
