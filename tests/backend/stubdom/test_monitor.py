"""What libxl runs for a stub domain's monitor: which way it goes, and that it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from backend import toolstack
from backend.channel.listening import listen
from backend.commands.qmp_proxy import Asked, parsed
from backend.platform import open_platform
from backend.platform.embedded.toolstack import dom0_store
from backend.platform.store import connect_store
from backend.share import NamedChannel, Share
from backend.stubdom.monitor import End, find_channel, serve
from frontend_stub.connect import connect_device
from frontend_stub.share import Share as Mounted
from protocol.xenpv.ids import DOM0, Domid
from protocol.xenpv.nodes import value_of
from tests.backend.supervisor.program import PATIENCE, wait_until
from tests.end_to_end.dom0 import dom0
from tests.lab.store_proxy import StoreProxy
from tools.testbed import BIN, Testbed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.xenpv.ports import Store

STUB: Final = Domid(5)
STATE: Final = "/local/domain/0/device-model/5/qmp-proxy-state"
VCHAN: Final = "/local/domain/5/device-model/4/qmp-vchan"

ORIGINAL: Final = f"""\
#!{sys.executable} -I
import json, os, socket, sys
with open(os.path.dirname(sys.argv[0]) + "/called", "w") as file:
    json.dump([os.getpid(), *sys.argv[1:]], file)
if sys.argv[-1].isdigit():
    listener = socket.socket(fileno=int(sys.argv[-1]))
    while True:
        client = listener.accept()[0]
        client.sendall(b"from the vchan")
        client.close()
"""
"""Stands for Xen's, as far as we rely on it: it accepts clients of a socket that it is given."""


class Libxl:
    """Runs the proxy of domain 4's stub domain, 5, as libxl does."""

    def __init__(self, bed: Testbed) -> None:
        self.bed = bed
        self.socket = bed.dir / "qmp-libxl-4"
        self.original = bed.dir / "vchan-socket-proxy.distrib"
        self.original.write_text(ORIGINAL)
        self.original.chmod(0o755)
        self.log = bed.dir / "proxy.log"

    @contextlib.contextmanager
    def proxy(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        given = words or (f"--state-path={STATE}", "5", VCHAN, str(self.socket))
        where = ("--config", str(self.bed.config), "--platform", self.bed.platform)
        command = (BIN / "xen-fileproxy", "qmp-proxy", "--original", self.original, *where)
        with (
            self.log.open("wb") as log,
            subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command, "--", *given], stderr=log
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    def called(self) -> list[object]:
        """The process that became the original, and the words it was given."""
        path = self.bed.dir / "called"
        wait_until(lambda: path.exists() and path.read_bytes().endswith(b"]"), "not called")
        found: list[object] = json.loads(path.read_text())
        return found


@pytest.fixture
def bed(leak_free: None) -> Iterator[Testbed]:
    with Testbed() as running:
        for domid in (4, STUB):
            running.hypervisor.create_domain(domid)
        yield running


@pytest.fixture
def libxl(bed: Testbed) -> Libxl:
    return Libxl(bed)


@pytest.fixture
def store(bed: Testbed) -> Iterator[Store]:
    with contextlib.closing(open_platform(bed.platform).store()) as store:
        yield store


def attach(bed: Testbed) -> None:
    bed.attach(STUB, "--channel", "other", "--tag", "first")
    bed.attach(STUB, "--path", str(bed.dir), "--channel", f"qmp={bed.dir}/qmp", "--tag", "state")


def await_running(store: Store) -> None:
    wait_until(lambda: value_of(store, STATE) == b"running", "it does not say that it runs")


@contextlib.contextmanager
def stub_domain(bed: Testbed) -> Iterator[Mounted]:
    with Mounted.attach(
        connect_device(bed.platform, STUB, tag="state", timeout=PATIENCE)
    ) as mounted:
        yield mounted


def test_a_client_waits_for_the_stub_domain_and_each_is_greeted(
    bed: Testbed, libxl: Libxl, store: Store
) -> None:
    attach(bed)
    with libxl.proxy() as process:
        await_running(store)
        assert libxl.socket.stat().st_mode & 0o777 == 0o600
        with dom0(libxl.socket) as early, stub_domain(bed) as mounted:
            client = early
            for number in range(3):
                with client, mounted.open("qmp", os.O_RDWR) as channel:
                    channel.pwrite(b"greeting %d" % number, 0)
                    assert client.recv(100) == b"greeting %d" % number
                    client.sendall(b"request")
                    assert channel.pread(7, 0) == b"request"
                client = dom0(libxl.socket)
            client.close()
        # As libxl ends it, when it has ended the stub domain.
        process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE) == -signal.SIGHUP
    assert not (bed.dir / "called").exists()


def test_it_ends_with_the_domain(bed: Testbed, libxl: Libxl, store: Store) -> None:
    attach(bed)
    with libxl.proxy() as process:
        await_running(store)
        with dom0(libxl.socket):
            bed.hypervisor.destroy_domain(STUB)
            assert process.wait(PATIENCE) == 0
    assert not libxl.socket.exists()


def test_a_stub_domain_without_a_channel_has_xens_own(bed: Testbed, libxl: Libxl) -> None:
    bed.attach(STUB, "--channel", "other")
    with libxl.proxy() as process:
        words = [f"--state-path={STATE}", "5", VCHAN, str(libxl.socket)]
        assert libxl.called() == [process.pid, *words]


def test_a_stub_domain_that_does_not_use_its_channel_has_xens_own(
    bed: Testbed, libxl: Libxl, store: Store
) -> None:
    attach(bed)
    with libxl.proxy() as process:
        await_running(store)
        store.write(VCHAN, b"")
        # Nobody has asked yet, so nothing is decided.
        with dom0(libxl.socket) as client:
            assert client.recv(100) == b"from the vchan"
        pid, domid, node, number = libxl.called()
        assert (pid, domid, node) == (process.pid, "5", VCHAN)
        assert str(number).isdigit()
        with dom0(libxl.socket) as client:
            assert client.recv(100) == b"from the vchan"


def test_a_channel_that_is_refused_is_none(bed: Testbed, libxl: Libxl, store: Store) -> None:
    share = Share(path=str(bed.config), channels=(NamedChannel("qmp", f"{bed.dir}/qmp"),))
    toolstack.attach(store, DOM0, STUB, share, "state")
    bed.await_status(lambda status: status["devices"] and status["devices"][0]["error"])
    with libxl.proxy():
        assert libxl.called()[1:] == [f"--state-path={STATE}", "5", VCHAN, str(libxl.socket)]


def test_a_share_that_nobody_attaches_is_waited_for_with_a_bound(
    bed: Testbed, libxl: Libxl
) -> None:
    bed.config.write_text(
        bed.config.read_text() + "[stubdom]\nauto = true\n[timeouts]\nstart = 0.5\n"
    )
    with libxl.proxy():
        assert libxl.called()[2] == "5"
    assert "qmp-proxy: domain 5 got no share in 0.5 s" in libxl.log.read_text()


def test_a_mistake_in_the_configuration_keeps_nobody_from_xens_own(
    bed: Testbed, libxl: Libxl
) -> None:
    bed.config.write_text("nonsense = 1\n")
    with libxl.proxy():
        assert libxl.called()[2] == "5"
    assert "unknown key 'nonsense'" in libxl.log.read_text()


def test_an_original_that_is_not_there_is_named(bed: Testbed, libxl: Libxl) -> None:
    libxl.original.unlink()
    with libxl.proxy() as process:
        assert process.wait(PATIENCE) == 1
    assert f"{libxl.original}: No such file or directory" in libxl.log.read_text()


@pytest.mark.parametrize(
    "words",
    [
        ("--mode=server", "0", VCHAN, "/run/qmp"),
        ("-m", "server", "0", VCHAN, "/run/qmp"),
        ("5", VCHAN, "-"),
        ("5", VCHAN, "3"),
        ("5", VCHAN),
        ("x", VCHAN, "/run/qmp"),
        ("--help",),
    ],
)
def test_what_libxl_does_not_ask_is_for_xens_own(words: tuple[str, ...]) -> None:
    assert parsed(words) is None


def test_what_libxl_asks() -> None:
    expected = Asked(STUB, VCHAN, "/run/qmp", STATE)
    for option in ([f"--state-path={STATE}"], ["--state-path", STATE], ["-s", STATE, "-v"]):
        assert parsed([*option, "--mode=client", "5", VCHAN, "/run/qmp"]) == expected
    assert parsed(["5", VCHAN, "/run/qmp"]) == expected._replace(state_path=None)


def test_a_client_that_comes_when_the_device_closes_is_hung_up_on(
    bed: Testbed, libxl: Libxl, store: Store
) -> None:
    attach(bed)
    with libxl.proxy():
        await_running(store)
        with stub_domain(bed):
            (bed.dir / "qmp").unlink()
            with dom0(libxl.socket) as client:
                assert client.recv(100) == b""


def test_xenstores_line_is_cut_and_mended(bed: Testbed, store: Store) -> None:
    attach(bed)
    channel = find_channel(store, DOM0, STUB)
    assert channel is not None
    path, ends = bed.dir / "line", list[End]()
    with (
        StoreProxy(path, Path(dom0_store(str(bed.rundir)))) as line,
        contextlib.closing(connect_store(str(path))) as weak,
        listen(str(bed.dir / "qmp-libxl-4")) as listener,
    ):
        thread = threading.Thread(
            target=lambda: ends.append(serve(weak, STUB, channel, VCHAN, listener))
        )
        thread.start()
        for cut in (False, True):
            if cut:
                line.cut()
            with dom0(bed.dir / "qmp-libxl-4") as client:
                if cut:
                    line.mend()
                with stub_domain(bed) as mounted, mounted.open("qmp", os.O_RDWR) as other:
                    other.pwrite(b"greeting", 0)
                    assert client.recv(100) == b"greeting"
        bed.hypervisor.destroy_domain(STUB)
        thread.join(PATIENCE)
        assert ends == [End.DOMAIN_GONE]
