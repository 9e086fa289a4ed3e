"""The hotplug script, with a supervisor on the embedded hypervisor and Debian's xenstore tools.

Each script gets a PATH on which ``xen-fileproxy`` is this tree's, configured for the hypervisor.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from backend import toolstack
from backend.commands.failure import CommandError
from backend.commands.supervisor import ask
from backend.hook.daemon import daemons
from backend.platform import open_platform
from backend.platform.embedded.hypervisor import EmbeddedHypervisor
from backend.platform.embedded.toolstack import dom0_store
from backend.share import Share
from protocol.xenpv.ids import DOM0, Devid, Domid
from tests.backend.hook.programs import daemon
from tests.backend.supervisor.program import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.toolstack import Ends
    from protocol.xenpv.ports import Store

ROOT: Final = Path(__file__).parents[3]
SCRIPT: Final = ROOT / "tools" / "dom0" / "fileproxy"
DEVICE: Final = "backend/xen_9pfs/5/0"

pytestmark = pytest.mark.skipif(
    shutil.which("xenstore-read") is None, reason="needs xenstore-utils: apt install xenstore-utils"
)


class Dom0:
    """A hypervisor with domain 5, and no supervisor yet."""

    def __init__(self, place: Path) -> None:
        self.place: Final = place
        self.hypervisor: Final = EmbeddedHypervisor.start(place / "hv")
        self.hypervisor.create_domain(5)
        self.platform: Final = open_platform(f"embedded:{place / 'hv'}")
        self.store: Final[Store] = self.platform.store()
        (place / "bin").mkdir()
        (place / "export").mkdir()
        configuration = place / "configuration.toml"
        configuration.write_text(
            f'platform = "embedded:{place / "hv"}"\nrun-dir = "{place / "run"}"\n'
        )
        self.program(
            "xen-fileproxy",
            f'command=$1; shift; cd {ROOT}; exec {sys.executable} -m backend.cli "$command" '
            f'--config {configuration} "$@"',
        )

    def program(self, name: str, body: str) -> None:
        """A program that the script finds before any other."""
        path = self.place / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def hotplug(
        self, action: str, path: str = DEVICE, *, patience: int = 30, before: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run the script as udev or libxl would, by the command ``before`` if there is one."""
        environment = {
            "PATH": f"{self.place / 'bin'}:/usr/bin:/bin",
            "XENSTORED_PATH": dom0_store(str(self.place / "hv")),
            "XENBUS_PATH": path,
            "FILEPROXY_PATIENCE": str(patience),
            "FILEPROXY_LOG": str(self.place / "log" / "supervisor.log"),
        }
        return subprocess.run(
            [*before, str(SCRIPT), action],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def attach(self, path: Path | str, devid: int = 0) -> Ends:
        """A device of domain 5."""
        toolstack.attach(
            self.store, DOM0, Domid(5), Share(str(path)), f"t{devid}", devid=Devid(devid)
        )
        return toolstack.ends(DOM0, Domid(5), Devid(devid))

    def node(self, name: str, device: str = DEVICE) -> str | None:
        """A node of a backend's device."""
        try:
            return self.store.read(f"/local/domain/0/{device}/{name}").decode()
        except FileNotFoundError:
            return None

    def supervisor(self) -> int | None:
        """The process that serves, if one does."""
        try:
            return int(ask(str(self.place / "run" / "status.sock"))["pid"])
        except CommandError:
            return None

    def close(self) -> None:
        """End what the script has started, and everything else."""
        pid = self.supervisor()
        if pid is not None:
            os.kill(pid, signal.SIGINT)
            wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the supervisor stays")
        self.store.close()
        self.platform.close()
        leaks = self.hypervisor.leaks()
        self.hypervisor.close()
        assert not leaks


@pytest.fixture
def dom0() -> Iterator[Dom0]:
    """Its directory has a path short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="xf") as name:
        dom0 = Dom0(Path(name))
        try:
            yield dom0
        finally:
            dom0.close()


def test_the_first_device_starts_the_supervisor(dom0: Dom0) -> None:
    dom0.attach(dom0.place / "export")
    done = dom0.hotplug("add")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert dom0.supervisor()
    assert dom0.node("state") == "2"
    assert dom0.node("hotplug-status") == "connected"
    assert "serving" in (dom0.place / "log" / "supervisor.log").read_text()


def test_while_xen_s_own_daemon_serves_ours_is_not_started(dom0: Dom0) -> None:
    dom0.attach(dom0.place / "export")
    dom0.store.write(f"/local/domain/0/{DEVICE}/state", b"2")
    with daemon(dom0.place) as process:
        dom0.store.write("/local/domain/0/libxl/xen-9pfs/pid", b"%d" % process.pid)
        assert process.pid in daemons()
        assert dom0.hotplug("add").returncode == 0
        assert dom0.node("hotplug-status") == "connected"
        assert dom0.supervisor() is None
    # What it left when it crashed keeps nobody.
    assert dom0.hotplug("add").returncode == 0
    assert dom0.supervisor()


def test_twice_is_once(dom0: Dom0) -> None:
    dom0.attach(dom0.place / "export")
    assert dom0.hotplug("add").returncode == 0
    pid = dom0.supervisor()
    assert dom0.hotplug("online", f"/local/domain/0/{DEVICE}").returncode == 0
    assert dom0.supervisor() == pid
    assert dom0.node("hotplug-status") == "connected"


def test_a_device_that_cannot_be_served_is_an_error(dom0: Dom0) -> None:
    (dom0.place / "file").touch()
    dom0.attach(dom0.place / "file")
    done = dom0.hotplug("add")
    assert done.returncode == 1
    assert dom0.node("hotplug-status") == "error"
    reason = dom0.node("hotplug-error")
    assert reason
    assert f"{dom0.place}/file: Not a directory" in reason
    assert done.stderr == f"fileproxy: {DEVICE}: {reason}\n"


def test_what_went_wrong_is_forgotten_when_it_goes_well(dom0: Dom0) -> None:
    dom0.attach(dom0.place / "export")
    dom0.store.write(f"/local/domain/0/{DEVICE}/hotplug-error", b"earlier")
    assert dom0.hotplug("add").returncode == 0
    assert dom0.node("hotplug-error") is None


def test_removal_waits_until_the_device_is_gone(dom0: Dom0) -> None:
    ends = dom0.attach(dom0.place / "export")
    dom0.hotplug("add")
    late = dom0.hotplug("remove", patience=1)
    assert late.returncode == 1
    assert "not closed after 1 s" in late.stderr
    toolstack.ask_to_close(dom0.store, ends)
    assert dom0.hotplug("offline").returncode == 0
    toolstack.remove(dom0.store, ends)
    gone = dom0.hotplug("remove")
    assert (gone.returncode, gone.stderr) == (0, "")
    assert dom0.node("hotplug-status") is None


def test_nothing_is_made_of_a_device_that_does_not_exist(dom0: Dom0) -> None:
    done = dom0.hotplug("add")
    assert done.returncode == 1
    assert "no such device" in done.stderr
    with pytest.raises(FileNotFoundError):
        dom0.store.list(f"/local/domain/0/{DEVICE}")


def test_another_class_waits_for_the_shares_of_its_domain(dom0: Dom0) -> None:
    """As ``script=`` of a vif: the guest is not started before its shares are served."""
    vif = "/local/domain/0/backend/vif/5/0"
    dom0.store.write(f"{vif}/state", b"1")
    for devid in range(2):
        dom0.attach(dom0.place / "export", devid)
    assert dom0.hotplug("online", vif).returncode == 0
    assert {dom0.node("state", f"backend/xen_9pfs/5/{devid}") for devid in range(2)} == {"2"}
    assert dom0.node("hotplug-status", "backend/vif/5/0") == "connected"
    assert dom0.hotplug("offline", vif).returncode == 0


def test_another_class_of_a_domain_without_shares(dom0: Dom0) -> None:
    dom0.store.write("/local/domain/0/backend/vbd/5/51712/state", b"1")
    assert dom0.hotplug("add", "backend/vbd/5/51712").returncode == 0
    assert dom0.node("hotplug-status", "backend/vbd/5/51712") == "connected"


def test_a_supervisor_that_cannot_start(dom0: Dom0) -> None:
    dom0.attach(dom0.place / "export")
    dom0.program("xen-fileproxy", "echo it is broken >&2; exit 1")
    done = dom0.hotplug("add", patience=1)
    assert done.returncode == 1
    assert dom0.node("hotplug-status") == "error"
    log = dom0.place / "log" / "supervisor.log"
    assert dom0.node("hotplug-error") == f"xen-fileproxy does not start; {log} says why"
    assert log.read_text() == "it is broken\n"


@pytest.mark.parametrize("starts", [True, False])
def test_where_systemd_is_the_unit_is_started(dom0: Dom0, starts: bool) -> None:
    """In a mount namespace in which this machine looks as if it were run by systemd."""
    dom0.attach(dom0.place / "export")
    told = dom0.place / "told"
    own = 'mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec "$@"'
    before = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", own, "sh")
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs user namespaces, or to be root")
    dom0.program("systemctl", f'echo "$@" >{told}; exit {0 if starts else 1}')
    done = dom0.hotplug("add", patience=1, before=before)
    assert told.read_text() == "start xen-fileproxy.service\n"
    assert dom0.supervisor() is None
    assert done.returncode == 1
    expected = "is not served after 1 s" if starts else "'systemctl status xen-fileproxy.service'"
    assert expected in done.stderr


@pytest.mark.parametrize(
    "path",
    [
        "",
        "backend",
        "backend/xen_9pfs/5",
        "backend/xen_9pfs/5/0/state",
        "backend/xen_9pfs/../5/0",
        "backend/xen_9pfs/5/0;reboot",
        "backend/xen_9pfs/$(reboot)/0",
        "backend/xen_9pfs/*/0",
        "backend/xen_9pfs/5/0\n",
        "\nbackend/xen_9pfs/5/0",
        "/tool/backend/xen_9pfs/5/0",
        "/local/domain/0/../1/backend/xen_9pfs/5/0",
        "-x/backend/xen_9pfs/5/0",
        "backend/xen_9pfs/123456/0",
    ],
)
def test_a_strange_path_is_refused_in_a_line(path: str) -> None:
    done = subprocess.run(
        [str(SCRIPT), "add"],
        # No store: it must not even be asked.
        env={"PATH": "/usr/bin:/bin", "XENBUS_PATH": path, "XENSTORED_PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "is not a backend's device; usage: XENBUS_PATH=" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["explode"], ["add;"]])
def test_a_strange_action_is_refused_in_a_line(arguments: list[str]) -> None:
    done = subprocess.run(
        [str(SCRIPT), *arguments],
        env={"PATH": "/usr/bin:/bin", "XENBUS_PATH": DEVICE, "XENSTORED_PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "; usage: XENBUS_PATH=" in done.stderr


def test_the_tools_are_missing(tmp_path: Path) -> None:
    """In a directory with nothing but what the script uses before it looks for them."""
    bare = tmp_path / "fileproxy"
    bare.write_text(SCRIPT.read_text().replace("PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin\n", ""))
    for program in ("expr", "sh"):
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    done = subprocess.run(
        ["/bin/sh", str(bare), "add"],
        env={"PATH": str(tmp_path), "XENBUS_PATH": DEVICE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "fileproxy: xenstore-read is missing; on Debian: apt install xenstore-utils\n"
    )


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_the_script_is_clean() -> None:
    subprocess.run(["shellcheck", str(SCRIPT)], check=True)
