"""Xen's daemon is known among all processes, and ended in order."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from backend.hook.daemon import daemons, end
from tests.backend.hook.programs import daemon

if TYPE_CHECKING:
    from pathlib import Path


def test_known_by_name_also_when_it_was_moved_aside(tmp_path: Path) -> None:
    for name in ("xen-9pfsd", "xen-9pfsd.distrib"):
        with daemon(tmp_path, name) as process:
            assert process.pid in daemons()
            assert end(process.pid, signal.SIGHUP, 20)
            assert process.wait() == -signal.SIGHUP
        assert process.pid not in daemons()


def test_a_script_of_that_name_is_not_theirs(tmp_path: Path) -> None:
    script = tmp_path / "xen-9pfsd"
    script.write_text("#!/bin/sh\necho started\nread line\n")
    script.chmod(0o755)
    with subprocess.Popen([script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        assert process.pid not in daemons()
        process.communicate(b"\n")


def test_nobody_but_our_user_s_counts(tmp_path: Path) -> None:
    for pid, uid in ((7, os.geteuid()), (8, os.geteuid() + 1)):
        directory = tmp_path / str(pid)
        directory.mkdir()
        (directory / "status").write_text(f"Name:\txen-9pfsd\nUid:\t0\t{uid}\t0\t0\n")
        (directory / "cmdline").write_bytes(b"xen-9pfsd\0")
    (tmp_path / "9").mkdir()  # one that has gone meanwhile
    (tmp_path / "self").mkdir()
    assert daemons(str(tmp_path)) == [7]


def test_end_is_bounded_and_harmless_for_what_is_gone(tmp_path: Path) -> None:
    with daemon(tmp_path) as process:
        assert not end(process.pid, signal.SIGCONT, 0.01)
        process.kill()
        process.wait()
        assert end(process.pid, signal.SIGHUP, 0.01)
