"""How the hypervisor starts and ends, and what its clients see when it does."""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from backend.platform.embedded.handle import Handle
from backend.platform.embedded.hypervisor import EmbeddedHypervisor, HypervisorControl
from backend.platform.embedded.wire import Kind
from protocol.xenpv.ids import DOM0, Domid, Evtchn

ROOT = Path(__file__).resolve().parents[4]


def test_when_killed_every_call_says_so_and_closing_is_quiet(tmp_path: Path) -> None:
    hypervisor = EmbeddedHypervisor.start(tmp_path)
    hypervisor.create_domain(5)
    guest, dom0 = hypervisor.platform(5), hypervisor.platform()
    sharer, mapper, near = guest.grant_sharer(), dom0.grant_mapper(), dom0.event_channels()
    far = guest.event_channels()
    pages = sharer.share(DOM0, 2)
    mapped = mapper.map(Domid(5), pages.grefs)
    port = far.alloc_unbound(DOM0)
    local = near.bind_interdomain(Domid(5), port)
    hypervisor.kill()
    with pytest.raises(ConnectionResetError, match="has hung up"):
        sharer.share(DOM0, 1)
    with pytest.raises(ConnectionResetError, match="has hung up"):
        mapper.map(Domid(5), pages.grefs)
    with pytest.raises(ConnectionResetError, match="has hung up"):
        near.bind_interdomain(Domid(5), Evtchn(1))
    with pytest.raises(ConnectionResetError, match="has hung up"):
        hypervisor.domains()
    with pytest.raises(ConnectionRefusedError, match="does not run; start it with"):
        guest.grant_sharer()
    # What is shared already goes on: nobody asks the hypervisor for it.
    pages.memory[0:2] = b"on"
    assert bytes(mapped.memory[0:2]) == b"on"
    assert near.pending() == local
    for thing in (mapped, pages, mapper, sharer, near, far, hypervisor):
        thing.close()


def test_one_that_does_not_answer_is_given_up_in_time(tmp_path: Path) -> None:
    with EmbeddedHypervisor.start(tmp_path) as hypervisor:
        handle = Handle(hypervisor.rundir, Kind.MAPPER, DOM0, timeout=0.05)
        os.kill(hypervisor.pid, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError, match=r"did not answer within 0.05 s"):
                handle.call("map", [9], domid=5)
            with pytest.raises(OSError, match="closed"):
                handle.call("map", [9], domid=5)
        finally:
            os.kill(hypervisor.pid, signal.SIGCONT)
        handle.close()


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    with EmbeddedHypervisor.start(tmp_path) as hypervisor:
        hypervisor.create_domain(5)
        assert stat.S_IMODE(os.stat(tmp_path / "hypervisor").st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []


def test_a_run_directory_that_a_crash_left_can_be_used_again(tmp_path: Path) -> None:
    with EmbeddedHypervisor.start(tmp_path) as hypervisor:
        hypervisor.create_domain(5)
        hypervisor.kill()
    with EmbeddedHypervisor.start(tmp_path) as hypervisor:
        hypervisor.create_domain(5)
        assert hypervisor.domains() == [0, 5]


def test_two_cannot_share_a_run_directory(tmp_path: Path) -> None:
    with EmbeddedHypervisor.start(tmp_path) as first:
        with pytest.raises(OSError, match=r"runs in .* already") as error:
            EmbeddedHypervisor.start(tmp_path)
        assert error.value.errno == errno.EBUSY
        assert first.domains() == [0]


def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="choose a shorter directory") as error:
        EmbeddedHypervisor.start(tmp_path / ("x" * 90))
    assert error.value.errno == errno.ENAMETOOLONG


def test_a_run_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        EmbeddedHypervisor.start(tmp_path / "file")


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = f"""
import sys
from backend.platform.embedded.hypervisor import EmbeddedHypervisor
hypervisor = EmbeddedHypervisor.start({str(tmp_path)!r})
print(hypervisor.pid, flush=True)
sys.stdin.read()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    with parent:
        assert parent.stdout is not None
        pidfd = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(10_000)
    os.close(pidfd)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_the_foreground_a_signal_ends_it_in_order(
    tmp_path: Path, number: signal.Signals
) -> None:
    ready, theirs = os.pipe()
    script = (
        "import sys; from backend.platform.embedded.server import serve;"
        "serve(sys.argv[1], int(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(theirs)],
        pass_fds=(theirs,),
        cwd=ROOT,
    )
    os.close(theirs)
    with process, os.fdopen(ready, "rb") as pipe:
        assert pipe.read() == b"\n"
        with HypervisorControl(str(tmp_path)) as control:
            control.create_domain(5)
        process.send_signal(number)
        assert process.wait(10) == 0
    assert list(tmp_path.iterdir()) == []
