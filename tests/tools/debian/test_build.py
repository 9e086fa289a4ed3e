"""What ``make deb`` builds: complete, of one version, and what Debian's own checker lets pass."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Final

import pytest

from backend.config import Config, load
from tests.tools.debian.package import SOURCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.debian.package import Package

PRIVATE: Final = "usr/lib/xen-fileproxy"
PACKAGES: Final = ("protocol", "backend", "frontend_stub")
EXECUTABLE: Final = {
    "etc/xen/scripts/fileproxy",
    "usr/bin/xen-fileproxy",
    "usr/bin/xen-fileproxy-front",
    f"{PRIVATE}/vchan-socket-proxy",
    f"{PRIVATE}/xen-9pfsd",
    "usr/share/python3/runtime.d/xen-fileproxy.rtupdate",
}


def version() -> str:
    text = (SOURCE / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def test_the_version_is_the_projects(package: Package) -> None:
    assert package.field("Version") == version()
    assert package.file.name == f"xen-fileproxy_{version()}_all.deb"


def test_the_program_is_whole(package: Package) -> None:
    listed = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=SOURCE, check=True, capture_output=True, text=True
    )
    sources = {f"{PRIVATE}/{name}" for name in listed.stdout.split()}
    assert sources <= package.files().keys()


def test_nothing_is_left_of_the_build(package: Package) -> None:
    assert not [name for name in package.files() if "__pycache__" in name or name.endswith(".pyc")]


def test_what_can_be_executed(package: Package) -> None:
    assert {name for name, mode in package.files().items() if "x" in mode} == EXECUTABLE


def test_the_installed_program_knows_its_version(package: Package, tmp_path: Path) -> None:
    """Isolated, as the launchers start it: only what the package brings is found."""
    private = package.unpack(tmp_path) / PRIVATE
    program = (
        f"import sys; sys.path.insert(0, {str(private)!r}); import backend.version; "
        "print(backend.version.__file__, backend.version.version())"
    )
    said = subprocess.run(
        [sys.executable, "-IBc", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert said == [str(private / "backend" / "version.py"), version()]


def test_the_configuration_says_what_the_defaults_say(package: Package, tmp_path: Path) -> None:
    configuration = package.unpack(tmp_path) / "etc/xen/xen-fileproxy.toml"
    assert load(str(configuration)) == Config()


def test_the_dependencies_are_those_of_the_project(package: Package) -> None:
    text = (SOURCE / "pyproject.toml").read_text(encoding="utf-8")
    wanted = set()
    for requirement in tomllib.loads(text)["project"]["dependencies"]:
        found = re.match(r"([a-z]+)>=([0-9.]+)", requirement)
        assert found
        wanted.add(f"python3-{found[1]} (>= {found[2]})")
    assert wanted <= set(package.field("Depends").split(", "))


@pytest.mark.skipif(shutil.which("lintian") is None, reason="needs lintian: apt install lintian")
def test_lintian_finds_nothing(package: Package) -> None:
    subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", str(package.file)], check=True
    )


@pytest.mark.parametrize("command", ["xen-fileproxy", "xen-fileproxy-front"])
def test_a_command_is_isolated_and_leaves_no_compiled_files(
    package: Package, tmp_path: Path, command: str
) -> None:
    """What root's Python compiles beside a file that an upgrade removes would stay for ever."""
    launcher = package.unpack(tmp_path) / "usr/bin" / command
    assert launcher.read_text().startswith("#!/usr/bin/python3 -IB\n")
