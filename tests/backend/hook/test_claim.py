"""One backend at a time: the node that libxl and both backends agree by."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from backend import toolstack
from backend.hook import Hook
from backend.hook.claim import ClaimError, claim, connected, is_claimed, release
from backend.share import Share
from protocol.xenpv.ids import DOM0, Devid, Domid
from tests.backend.hook.programs import daemon
from tests.backend.supervisor.guest import Guest
from tests.backend.supervisor.program import Program, Supervisor, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from protocol.xenpv.ports import Store

HOME = "/local/domain/0/libxl/xen-9pfs"


@pytest.fixture
def libxl_starts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Hook]:
    """What libxl's directories hold."""
    hooks: dict[str, Hook] = {}
    monkeypatch.setattr("backend.hook.claim.state", lambda: hooks)
    return hooks


def test_claimed_and_released(store: Store) -> None:
    assert not is_claimed(store, DOM0)
    claim(store, DOM0)
    assert is_claimed(store, DOM0)
    assert store.read(f"{HOME}/state") == b"running"
    assert store.read(f"{HOME}/pid") == b"%d" % os.getpid()
    assert release(store, DOM0)
    assert not is_claimed(store, DOM0)
    assert release(store, DOM0)  # harmless


@pytest.mark.parametrize(
    "pid", [None, b"", b"x", b"999999999", pytest.param(b"%d" % os.getpid(), id="ours")]
)
def test_what_a_crash_left_is_taken_over(store: Store, pid: bytes | None) -> None:
    store.write(f"{HOME}/state", b"running")
    if pid is not None:
        store.write(f"{HOME}/pid", pid)
    claim(store, DOM0)
    assert store.read(f"{HOME}/pid") == b"%d" % os.getpid()


def test_xen_s_daemon_keeps_it_while_it_lives(store: Store, tmp_path: Path) -> None:
    store.write(f"{HOME}/state", b"running")
    with daemon(tmp_path) as process:
        with pytest.raises(ClaimError, match=rf"^xen-9pfsd \(process {process.pid}\) serves"):
            claim(store, DOM0)
        with pytest.raises(FileNotFoundError):
            store.read(f"{HOME}/pid")
    claim(store, DOM0)


def test_supervisor_claims_while_it_serves(
    supervisor: Supervisor, store: Store, platform: str, place: Path
) -> None:
    assert store.read(f"{HOME}/state") == b"running"
    assert store.read(f"{HOME}/pid") == b"%d" % supervisor.process.pid
    # Another run directory has another lock; the node is one.
    with Program("run", "--platform", platform, "--run-dir", str(place / "other")) as second:
        assert second.process.wait(20) == 1
        second.wait_for_line(
            rf"error: a supervisor \(process {supervisor.process.pid}\) serves .* another run-dir"
        )
    assert store.read(f"{HOME}/pid") == b"%d" % supervisor.process.pid
    assert supervisor.stop(signal.SIGINT) == 0
    assert not is_claimed(store, DOM0)


def test_supervisor_that_was_killed_is_followed_by_the_next(
    hypervisor: EmbeddedHypervisor, store: Store, platform: str, place: Path
) -> None:
    with Supervisor(platform, place / "run") as first:
        first.stop(signal.SIGKILL)
    assert is_claimed(store, DOM0)
    with Supervisor(platform, place / "run") as second:
        assert store.read(f"{HOME}/pid") == b"%d" % second.process.pid
    assert not is_claimed(store, DOM0)


def test_supervisor_says_who_serves_instead(
    hypervisor: EmbeddedHypervisor, store: Store, platform: str, place: Path
) -> None:
    store.write(f"{HOME}/state", b"running")
    run = ("run", "--platform", platform, "--run-dir", str(place / "run"))
    with daemon(place) as process, Program(*run) as program:
        assert program.process.wait(20) == 1
        program.wait_for_line(rf"^xen-fileproxy: error: xen-9pfsd \(process {process.pid}\)")
    assert store.read(f"{HOME}/state") == b"running"


@pytest.fixture
def guest(store: Store, platform: str, export: Path) -> Iterator[Guest]:
    """A guest with two shares, of which it uses the second."""
    for devid in (0, 1):
        toolstack.attach(store, DOM0, Domid(5), Share(str(export)), f"x{devid}", devid=Devid(devid))
    with Guest(platform, 5, 1) as guest:
        yield guest


def test_while_workers_live_on_only_our_own_program_may_be_started(
    supervisor: Supervisor, guest: Guest, store: Store, libxl_starts: dict[str, Hook]
) -> None:
    guest.connect()
    wait_until(lambda: connected(store, DOM0) == ["5/1"], "not connected")
    for hooks in ({}, {"a": Hook.THEIRS}, {"a": Hook.OURS, "b": Hook.NONE}):
        libxl_starts.clear()
        libxl_starts.update(hooks)
        assert not release(store, DOM0)
        assert is_claimed(store, DOM0)
    libxl_starts.clear()
    libxl_starts.update({"a": Hook.OURS, "b": Hook.OLD})
    assert release(store, DOM0)
    assert not is_claimed(store, DOM0)
    guest.disconnect()
