"""``make install``: what other packages are made of, and administrators without one have."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).parents[3] / "tools" / "dom0" / "install.sh"
CONFIGURATION: Final = "etc/xen/xen-fileproxy.toml"


def install(root: Path) -> set[str]:
    subprocess.run(["sh", str(SCRIPT), str(root)], check=True)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_all_of_it_comes_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    files = install(tmp_path)
    assert {
        "etc/xen/scripts/fileproxy",
        CONFIGURATION,
        "usr/bin/xen-fileproxy",
        "usr/lib/systemd/system/xen-fileproxy.service",
        "usr/lib/udev/rules.d/60-xen-fileproxy.rules",
        "usr/share/man/man8/xen-fileproxy.8",
    } <= files
    before = {name: (tmp_path / name).read_bytes() for name in files}
    assert install(tmp_path) == files
    assert {name: (tmp_path / name).read_bytes() for name in files} == before


def test_an_administrators_configuration_stays(tmp_path: Path) -> None:
    configuration = tmp_path / CONFIGURATION
    configuration.parent.mkdir(parents=True)
    configuration.write_text("[limits]\nmax-rings = 3\n")
    install(tmp_path)
    assert configuration.read_text() == "[limits]\nmax-rings = 3\n"


def test_what_the_installed_files_name_is_installed(tmp_path: Path) -> None:
    """The unit starts a command, and the rule a script, that are where they say."""
    files = install(tmp_path)
    unit = (tmp_path / "usr/lib/systemd/system/xen-fileproxy.service").read_text()
    rule = (tmp_path / "usr/lib/udev/rules.d/60-xen-fileproxy.rules").read_text()
    named = re.findall(r"^ExecStart=(\S+)", unit, re.MULTILINE) + re.findall(r'RUN\+="(\S+)', rule)
    assert len(named) == 2
    for path in named:
        assert path.removeprefix("/") in files
        assert (tmp_path / path.removeprefix("/")).stat().st_mode & 0o111 == 0o111


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_the_script_is_clean() -> None:
    subprocess.run(["shellcheck", str(SCRIPT)], check=True)
