"""Others' programs work with the server: Debian's xenstore tools, pyxs of PyPI and of Debian."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.backend.platform.conftest import Daemon

needs_tools = pytest.mark.skipif(
    shutil.which("xenstore-ls") is None, reason="xenstore-utils is not installed"
)


class Tools:
    def __init__(self, path: str) -> None:
        self._environment = {**os.environ, "XENSTORED_PATH": path}

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, status: int = 0) -> str:
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=20, check=False
        )
        assert done.returncode == status, done.stderr
        return done.stdout


@pytest.fixture
def tools(daemon: Daemon) -> Tools:
    return Tools(daemon.path())


@needs_tools
def test_write_read_exists_list_rm(tools: Tools) -> None:
    tools.run("xenstore-write", "/a/b", "one", "/a/c", "two words")
    assert tools.run("xenstore-read", "/a/b") == "one\n"
    assert tools.run("xenstore-read", "-p", "/a/c") == "/a/c: two words\n"
    tools.run("xenstore-exists", "/a/b")
    tools.run("xenstore-exists", "/a/z", status=1)
    assert tools.run("xenstore-list", "/a") == "b\nc\n"
    assert tools.run("xenstore-list", "-p", "/a") == "/a/b\n/a/c\n"
    tools.run("xenstore-rm", "/a/b")
    assert tools.run("xenstore-list", "/a") == "c\n"
    tools.run("xenstore-read", "/a/b", status=1)


@needs_tools
def test_ls(tools: Tools) -> None:
    tools.run("xenstore-write", "/a/b", "1")
    tools.run("xenstore-write", "/a/c/d", "2")
    assert tools.run("xenstore-ls", "/a") == 'b = "1"\nc = ""\n d = "2"\n'
    assert tools.run("xenstore-ls", "-f", "/a") == '/a/b = "1"\n/a/c = ""\n/a/c/d = "2"\n'
    assert '/a/c/d = "2"   (n0)\n' in tools.run("xenstore-ls", "-f", "-p")
    assert tools.run("xenstore-ls", "-p", "/a").count("(n0)") == 3


@needs_tools
def test_ls_of_more_children_than_fit_a_packet(tools: Tools, daemon: Daemon) -> None:
    client = daemon.client()
    for number in range(1000):
        client.write(b"/many/child-number-%d" % number)
    assert len(tools.run("xenstore-list", "/many").splitlines()) == 1000


@needs_tools
def test_chmod(tools: Tools) -> None:
    tools.run("xenstore-write", "/a/b", "1")
    tools.run("xenstore-chmod", "-r", "/a", "n5", "r6")
    assert tools.run("xenstore-ls", "-f", "-p", "/a") == '/a/b = "1"   (n5,r6)\n'
    tools.run("xenstore-chmod", "-u", "/a/b", "b0", "w5")
    assert "(b0,w5)" in tools.run("xenstore-ls", "-f", "-p", "/a")


@needs_tools
def test_watch(tools: Tools, daemon: Daemon) -> None:
    with tools.start("xenstore-watch", "-n", "4", "/a", "@releaseDomain") as watch:
        assert watch.stdout is not None
        lines = [watch.stdout.readline(), watch.stdout.readline()]
        assert sorted(lines) == ["/a\n", "@releaseDomain\n"]
        daemon.client().write(b"/a/b/c")
        assert watch.stdout.readline() == "/a/b/c\n"
        daemon.server.call(lambda server: server.release(6))  # type: ignore[arg-type]
        assert watch.stdout.readline() == "@releaseDomain\n"
        assert watch.wait(20) == 0


@needs_tools
def test_a_guests_socket_has_a_guests_rights(daemon: Daemon) -> None:
    client = daemon.client()
    client.write(b"/local/domain/5/name", b"guest")
    client.chmod(b"/local/domain/5", b"n5")
    client.chmod(b"/local/domain/5/name", b"n0,r5")
    guest = Tools(daemon.path(5))
    assert guest.run("xenstore-read", "name") == "guest\n"
    guest.run("xenstore-write", "name", "other", status=1)
    guest.run("xenstore-write", "data", "mine")
    assert client.read(b"/local/domain/5/data") == b"mine"
    guest.run("xenstore-ls", "/tool", status=1)


PYXS = """
import pyxs

with pyxs.Client() as client:
    client.write(b"/a/b", b"1")
    assert client.read(b"/a/b") == b"1"
    assert client.list(b"/a") == [b"b"]
    assert client.exists(b"/a/b") and not client.exists(b"/a/z")
    client.mkdir(b"/a/d")
    client.delete(b"/a/d")
    client.set_perms(b"/a/b", [b"n5", b"r6"])
    assert client.get_perms(b"/a/b") == [b"n5", b"r6"]
    assert client.get_domain_path(5) == b"/local/domain/5"
    assert client.is_domain_introduced(5)
    with client.monitor() as monitor:
        monitor.watch(b"/a", b"token")
        assert next(monitor.wait()) == (b"/a", b"token")
        client.transaction()
        client.write(b"/a/c", b"2")
        assert client.commit()
        assert next(monitor.wait()) == (b"/a/c", b"token")
    with pyxs.Client() as other:
        client.transaction()
        client.read(b"/a/b")
        other.write(b"/a/b", b"3")
        assert not client.commit()
print("passed with", pyxs.__file__)
"""


def test_pyxs_of_the_virtual_environment(tools: Tools) -> None:
    assert "passed" in tools.run(sys.executable, "-W", "error", "-c", PYXS)


def test_pyxs_of_debian(tools: Tools) -> None:
    python = "/usr/bin/python3"
    found = subprocess.run(
        [python, "-I", "-c", "import pyxs"], capture_output=True, check=False, timeout=20
    )
    if found.returncode:
        pytest.skip("python3-pyxs is not installed")
    assert "/usr/lib/python3/" in tools.run(python, "-I", "-c", PYXS)
