"""``qmp``: a real QEMU's monitor, directly and in a guest, by path and by domain."""

from __future__ import annotations

import json
import os
import pty
import shutil
import socket
import subprocess
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.commands.failure import CommandError
from backend.commands.qmp import parsed_arguments
from backend.platform import open_platform
from tests.backend.stubdom.libxl import say_stub_domain
from tools.testbed import BIN, Testbed

if TYPE_CHECKING:
    from collections.abc import Iterator

QEMU = shutil.which("qemu-system-x86_64")
DEADLINE = 60.0
GUEST = 5

needs_qemu = pytest.mark.skipif(
    QEMU is None, reason="QEMU is not installed (apt install qemu-system-x86)"
)


def qmp(*arguments: str | Path, lines: str = "") -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    done = subprocess.run(
        [str(BIN / "xen-fileproxy"), "qmp", *map(str, arguments)],
        input=lines,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (['{"a": {"b": 1}}'], {"a": {"b": 1}}),
        (["id=disk0", "size=5", "on=true", 'list=["x"]', "text=a=b", "none="], None),
    ],
)
def test_arguments(words: list[str], expected: dict[str, object] | None) -> None:
    if expected is None:
        expected = {"id": "disk0", "size": 5, "on": True, "list": ["x"], "text": "a=b", "none": ""}
    assert parsed_arguments(words) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [(["{"], "not JSON"), (["a"], "argument a: it must be NAME=VALUE"), (["=a"], "NAME=VALUE")],
)
def test_wrong_arguments(words: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        parsed_arguments(words)


@pytest.fixture
def monitor(leak_free: None) -> Iterator[Path]:
    """The socket of a QEMU's monitor."""
    assert QEMU is not None
    with tempfile.TemporaryDirectory(prefix="xf") as name:
        path = Path(name) / "m"
        # The socket listens from before QEMU is started: nobody has to wait for it.
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            process = subprocess.Popen(
                [
                    *(QEMU, "-M", "none", "-display", "none", "-nodefaults", "-S"),
                    *("-chardev", f"socket,id=m,fd={listener.fileno()},server=on,wait=off"),
                    *("-mon", "chardev=m,mode=control"),
                ],
                pass_fds=[listener.fileno()],
            )
        with process:
            yield path
            process.kill()


@needs_qemu
class TestQemu:
    def test_one_command(self, monitor: Path) -> None:
        code, out, _ = qmp(monitor, "query-status")
        assert (code, json.loads(out)["status"]) == (0, "prelaunch")
        code, out, _ = qmp(
            monitor, "object-add", "qom-type=memory-backend-ram", "id=m", "size=4096"
        )
        assert (code, json.loads(out)) == (0, {})
        assert qmp(monitor, "object-del", '{"id": "m"}')[:2] == (0, "{}\n")

    def test_qemus_refusal(self, monitor: Path) -> None:
        code, out, said = qmp(monitor, "no-such")
        assert (code, out) == (1, "")
        assert "no-such: CommandNotFound: The command no-such has not been found" in said

    def test_a_conversation(self, monitor: Path) -> None:
        code, out, _ = qmp(
            monitor, lines='query-status\n\n{"execute": "stop"}\nno-such\n{"x": 1}\nquit'
        )
        lines = out.splitlines()
        assert json.loads(lines[0])["status"] == "prelaunch"
        assert lines[1] == "{}"
        assert lines[2].startswith("error: CommandNotFound")
        assert lines[3] == 'error: {"x": 1}: not {"execute": ...}'
        assert any(line.startswith("event SHUTDOWN {") for line in lines[4:])
        assert code == 1

    def test_a_terminal_is_prompted(self, monitor: Path) -> None:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [str(BIN / "xen-fileproxy"), "qmp", str(monitor)], stdin=theirs, stdout=theirs
        ) as process:
            os.close(theirs)
            said = b""
            while b"(qmp) " not in said:
                said += os.read(ours, 1000)
            os.write(ours, b"query-name\n\x04")
            assert process.wait(DEADLINE) == 0
        os.close(ours)

    def test_in_a_guest_by_its_number_or_its_stub_domains(
        self, bed: Testbed, monitor: Path
    ) -> None:
        for domid in (4, GUEST):
            bed.hypervisor.create_domain(domid)
        with closing(open_platform(bed.platform).store()) as store:
            say_stub_domain(store, 4, GUEST)
        bed.attach(GUEST, "--channel", "qmp")
        options = ("--config", str(bed.config), "--platform", bed.platform)
        bridge = subprocess.Popen(bed.front(GUEST, "bridge", "qmp", f"unix:{monitor}"))
        with bridge, ExitStack() as stack:
            stack.callback(bridge.kill)
            bed.await_status(lambda status: status["devices"][0].get("worker") == "serving")
            for target in ("4", str(GUEST)):
                code, out, said = qmp(*options, target, "query-status")
                assert (code, said) == (0, "")
                assert json.loads(out)["status"] == "prelaunch"
            bridge.terminate()
            assert bridge.wait(DEADLINE) == 143
        code, _, said = qmp(*options, "4", "query-status")
        assert code == 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/nowhere/m", "no such socket; is the channel attached ('attach --channel qmp'), and"),
        ("99999", "99999: neither a domain nor a path"),
    ],
)
def test_what_is_not_there(target: str, message: str) -> None:
    code, out, said = qmp(target, "query-status")
    assert (code, out) == (1, "")
    assert message in said


def test_nobody_listens(leak_free: None) -> None:
    with tempfile.TemporaryDirectory(prefix="xf") as name:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{name}/m")
        assert "nobody listens any more" in qmp(f"{name}/m", "x")[2]
        Path(f"{name}/file").touch()
        assert qmp(f"{name}/file/m", "x")[0] == 1
        assert "no greeting within 0.1 s" in _silent(f"{name}/s")


def _silent(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        return qmp("--timeout", "0.1", path, "x")[2]
