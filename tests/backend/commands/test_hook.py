"""``install-hook`` and ``remove-hook``: one command there, one back, and nobody loses a share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from backend import toolstack
from backend.cli import main
from backend.hook.claim import directory, is_claimed
from backend.hook.places import launcher
from backend.share import Share
from protocol.xenpv.ids import DOM0, Devid, Domid
from tests.backend.hook.programs import daemon
from tests.backend.supervisor.guest import Guest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from protocol.xenpv.ports import Store
    from tests.backend.supervisor.program import Supervisor

    Run = Callable[..., int]


@pytest.fixture
def libexec(place: Path) -> Path:
    path = place / "xen-4.20" / "bin"
    path.mkdir(parents=True)
    (path / "xen-9pfsd").write_text("theirs")
    return path


@pytest.fixture
def run(platform: str, place: Path, libexec: Path) -> Run:
    where = ["--platform", platform, "--run-dir", str(place / "run"), "--libexec", str(libexec)]
    return lambda command, *options: main([command, *where, *options])


@pytest.fixture
def guest(supervisor: Supervisor, store: Store, platform: str, export: Path) -> Iterator[Guest]:
    """A guest that uses a share."""
    toolstack.attach(store, DOM0, Domid(5), Share(str(export)), "x", devid=Devid(0))
    with Guest(platform, 5) as guest:
        guest.connect()
        yield guest


def test_there_and_back(run: Run, libexec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = libexec / "xen-9pfsd"
    assert run("install-hook") == 0
    kept = "; Xen's own is kept as xen-9pfsd.distrib"
    assert capsys.readouterr().out == f"{path}: now xen-fileproxy{kept}\n"
    assert str(path.readlink()) == launcher()
    assert run("install-hook") == 0
    assert capsys.readouterr().out == f"{path}: xen-fileproxy{kept}\n"
    assert run("remove-hook", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "directories": [
            {
                "directory": str(libexec),
                "program": "xen-9pfsd",
                "hook": "theirs",
                "before": "ours",
                "changed": True,
            }
        ]
    }
    assert path.read_text() == "theirs"
    assert run("remove-hook") == 0
    assert capsys.readouterr().out == f"{path}: Xen's own\n"


def test_the_proxy_of_monitors_goes_with_it(
    run: Run, supervisor: Supervisor, libexec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = libexec / "vchan-socket-proxy"
    proxy.write_text("theirs too")
    assert run("install-hook") == 0
    kept = "; Xen's own is kept as vchan-socket-proxy.distrib"
    assert capsys.readouterr().out.endswith(f"{proxy}: now xen-fileproxy{kept}\n")
    assert str(proxy.readlink()) == launcher("vchan-socket-proxy")
    (libexec / "xen-9pfsd").unlink()
    (libexec / "xen-9pfsd").write_text("an update's")
    # The daemon is theirs again, so nobody is ended for the proxy's sake.
    assert run("remove-hook") == 0
    assert capsys.readouterr().out.endswith(f"{proxy}: now Xen's own\n")
    assert proxy.read_text() == "theirs too"
    assert supervisor.process.poll() is None


def test_status_changes_nothing(
    run: Run, libexec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("install-hook", "--status") == 0
    assert capsys.readouterr().out == f"{libexec}/xen-9pfsd: Xen's own\n"
    (libexec / "xen-9pfsd").unlink()
    assert run("install-hook", "--status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["directories"][0]["hook"] == "none"


def test_xen_without_that_entry_has_nothing_to_be_done(
    monkeypatch: pytest.MonkeyPatch, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = place / "xen-4.17" / "bin"
    old.mkdir(parents=True)
    monkeypatch.setattr("backend.hook.places.libexec_directories", lambda _root: [str(old)])
    monkeypatch.setattr("backend.hook.places._BINDIR", ())
    for command in ("install-hook", "remove-hook"):
        assert main([command]) == 0
        assert "nothing to do: libxl starts no backend before Xen 4.19" in capsys.readouterr().out
    assert list(old.iterdir()) == []
    # Unless the administrator knows better.
    assert main(["install-hook", "--libexec", str(old)]) == 0
    assert [path.name for path in old.iterdir()] == ["xen-9pfsd"]


@pytest.mark.parametrize("command", ["install-hook", "remove-hook"])
def test_a_directory_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, "--libexec", "/none"]) == 1
    assert capsys.readouterr().err == ("xen-fileproxy: error: --libexec /none: no such directory\n")
    for name, nowhere in (("libexec_directories", lambda _root: []), ("_BINDIR", ())):
        monkeypatch.setattr(f"backend.hook.places.{name}", nowhere)
    # A package's removal runs remove-hook, also where Xen was removed before.
    assert main([command]) == (1 if command == "install-hook" else 0)
    assert ("no Xen tools found" in capsys.readouterr().err) == (command == "install-hook")


def test_a_program_that_is_not_installed_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("backend.hook.switch.launcher", "/none/{}".format)
    assert run("install-hook") == 1
    assert "/none/xen-9pfsd: not there, or not executable" in capsys.readouterr().err


def test_xen_s_daemon_is_ended_unless_it_serves(
    run: Run, store: Store, libexec: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = toolstack.ends(DOM0, Domid(5), Devid(0))
    for name, value in {"state": b"4", "frontend": b"x"}.items():
        store.write(f"{device.backend}/{name}", value)
    with daemon(place) as process:
        assert run("install-hook") == 1
        assert f"xen-9pfsd (process {process.pid}) serves 5/0, and a" in capsys.readouterr().err
        assert (libexec / "xen-9pfsd").read_text() == "theirs"
        assert run("install-hook", "--force") == 0
        assert process.wait(20) < 0
    with daemon(place) as process:
        store.write(f"{device.backend}/state", b"2")  # offered, but no guest uses it
        assert run("install-hook") == 0
        assert process.wait(20) < 0


def test_xen_s_daemon_that_does_not_end_is_named(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("backend.commands.install_hook._END", 0.01)
    monkeypatch.setattr("backend.hook.daemon.IN_ORDER", 18)  # SIGCONT
    with daemon(place) as process:
        assert run("install-hook") == 1
        assert f"(process {process.pid}) does not end" in capsys.readouterr().err


def test_our_supervisor_is_ended_unless_it_serves(
    run: Run,
    guest: Guest,
    store: Store,
    supervisor: Supervisor,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("install-hook") == 0
    assert run("remove-hook") == 1
    assert "xen-fileproxy serves 5/0, and a running guest cannot" in capsys.readouterr().err
    guest.disconnect()
    assert run("remove-hook") == 0
    assert supervisor.process.wait(20) == 0
    assert not is_claimed(store, DOM0)


def test_our_supervisor_is_ended_by_force(
    run: Run, guest: Guest, supervisor: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("install-hook") == 0
    assert run("remove-hook", "--force") == 0
    assert supervisor.process.wait(20) == 0
    assert guest.backend_state().name in {"CLOSING", "CLOSED"}


def test_without_the_hook_our_supervisor_is_left_alone(run: Run, supervisor: Supervisor) -> None:
    assert run("remove-hook") == 0
    assert supervisor.process.poll() is None


def test_a_socket_that_nobody_answers_at_keeps_nobody(run: Run, place: Path) -> None:
    (place / "run").mkdir()
    (place / "run" / "status.sock").touch()
    assert run("install-hook") == 0
    assert run("remove-hook") == 0


@pytest.mark.parametrize("command", ["install-hook", "remove-hook"])
def test_the_node_of_a_backend_that_crashed_goes(run: Run, store: Store, command: str) -> None:
    if command == "remove-hook":
        assert run("install-hook") == 0
    node = f"{directory(DOM0)}/state"
    store.write(node, b"running")
    assert run(command) == 0
    assert not is_claimed(store, DOM0)


def test_the_node_of_a_supervisor_that_lives_stays(
    run: Run, store: Store, supervisor: Supervisor
) -> None:
    assert run("install-hook") == 0
    assert is_claimed(store, DOM0)
