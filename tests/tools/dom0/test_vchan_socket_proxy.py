"""What libxl runs in the place of Xen's proxy: our command, or Xen's program where that is gone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "tools" / "dom0" / "vchan-socket-proxy"
WORDS = ["--state-path=/a b", "7", "/node", "/run/xen/qmp-libxl-5"]


@pytest.mark.parametrize("installed", [True, False])
def test_who_is_called_with_what_and_in_the_same_process(tmp_path: Path, installed: bool) -> None:
    link = tmp_path / "libexec" / "vchan-socket-proxy"
    ours, theirs = tmp_path / "bin" / "xen-fileproxy", Path(f"{link}.distrib")
    for program in (ours, theirs):
        program.parent.mkdir()
        program.write_text('#!/bin/sh\necho $$\nprintf "%s\\n" "$0" "$@"\n')
        program.chmod(0o755)
    if not installed:
        ours.unlink()
    link.symlink_to(SCRIPT)
    process = subprocess.Popen(
        [link, *WORDS], stdout=subprocess.PIPE, text=True, env={"PATH": f"{tmp_path}/bin:/usr/bin"}
    )
    said = process.communicate(timeout=20)[0].splitlines()
    if installed:
        called = [str(ours), "qmp-proxy", "--original", str(theirs), "--", *WORDS]
    else:
        called = [str(theirs), *WORDS]
    assert said == [str(process.pid), *called]
