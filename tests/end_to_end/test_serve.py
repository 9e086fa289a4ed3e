"""``serve --listen`` with a client that somebody else wrote: diod's."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEARCH = f"{os.environ['PATH']}:/usr/sbin"
"""Debian installs them where only root's PATH looks."""

pytestmark = [
    pytest.mark.skipif(
        shutil.which("diodcat", path=SEARCH) is None,
        reason="needs diod's clients: apt install diod",
    ),
    pytest.mark.usefixtures("leak_free"),
]


@pytest.fixture
def server(export: Path, tmp_path: Path) -> Iterator[str]:
    socket = f"{tmp_path}/9p"
    with serving(export, f"unix:{socket}"):
        yield socket


def diod(program: str, socket: str, *arguments: str) -> bytes:
    command = [str(shutil.which(program, path=SEARCH)), "-s", socket, "-a", "/", *arguments]
    return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout


def test_diodls_lists_a_thousand_files(server: str, export: Path) -> None:
    names = {f"file {number} \N{SNOWMAN}" for number in range(1000)}
    for name in names:
        (export / name).touch()
    assert set(diod("diodls", server).decode().splitlines()) - {".", ".."} == names


def test_diodls_shows_what_ls_shows(server: str, export: Path) -> None:
    (export / "plain").write_bytes(b"12345")
    (export / "folder").mkdir(mode=0o750)
    (export / "link").symlink_to("plain")
    listed = diod("diodls", server, "-l").decode()
    lines = {line.split()[-1]: line.split() for line in listed.splitlines() if line.split()}
    # It stops at the first entry that it cannot walk to; "." and ".." are among them.
    assert set(lines) >= {"plain", "folder", "link", "."}
    for name, mode in (("plain", "-rw-r--r--"), ("folder", "drwxr-x---")):
        assert lines[name][0].rstrip(".") == mode
    assert "5" in lines["plain"]


def test_diodcat_reads_a_hundred_megabytes_byte_for_byte(server: str, export: Path) -> None:
    content = os.urandom(1 << 20) * 100
    (export / "large").write_bytes(content)
    assert diod("diodcat", server, "large") == content


def test_ten_diodcats_at_once(server: str, export: Path) -> None:
    contents = [os.urandom(3 << 20) for _ in range(10)]
    clients = []
    for number, content in enumerate(contents):
        (export / f"f{number}").write_bytes(content)
        command = [str(shutil.which("diodcat", path=SEARCH)), "-s", server, "-a", "/", f"f{number}"]
        clients.append(subprocess.Popen(command, stdout=subprocess.PIPE))
    for client, content in zip(clients, contents, strict=True):
        assert client.communicate(timeout=60)[0] == content
