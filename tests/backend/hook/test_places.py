"""Where libxl's directories are, and whose program is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.hook import Hook, state
from backend.hook.places import (
    INSTALLED,
    KEPT,
    NAME,
    PROXY,
    hook_in,
    launcher,
    libexec_directories,
    proxies,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_each_version_of_debian_has_its_directory_and_wrappers_are_none(tmp_path: Path) -> None:
    for name in ("xen-4.17", "xen-4.20", "xen-common", "xen"):
        (tmp_path / "usr/lib" / name / "bin").mkdir(parents=True)
    (tmp_path / "usr/lib64").symlink_to("lib")
    (tmp_path / "usr/libexec/xen/bin").mkdir(parents=True)
    found = [path.removeprefix(f"{tmp_path}/") for path in libexec_directories(str(tmp_path))]
    assert found == [
        "usr/lib/xen-4.17/bin",
        "usr/lib/xen-4.20/bin",
        "usr/libexec/xen/bin",
        "usr/lib/xen/bin",
    ]


def test_theirs_ours_none(tmp_path: Path, libexec: Path) -> None:
    old = tmp_path / "usr/lib/xen-4.17/bin"
    old.mkdir(parents=True)
    assert state(root=str(tmp_path)) == {str(old): Hook.OLD, str(libexec): Hook.THEIRS}
    daemon = libexec / "xen-9pfsd"
    daemon.unlink()
    assert state([str(libexec)]) == {str(libexec): Hook.NONE}
    for target in (f"{INSTALLED}/{NAME}", launcher()):
        daemon.symlink_to(target)
        assert hook_in(str(libexec)) is Hook.OURS
        daemon.unlink()
    daemon.symlink_to("/usr/bin/true")
    assert hook_in(str(libexec)) is Hook.THEIRS


@pytest.mark.parametrize(
    ("version", "hook"), [("4 18", Hook.OLD), ("4 19", Hook.NONE), ("x y", Hook.NONE)]
)
def test_elsewhere_the_running_xen_tells_its_version(
    tmp_path: Path, version: str, hook: Hook
) -> None:
    about = tmp_path / "sys/hypervisor/version"
    about.mkdir(parents=True)
    for name, number in zip(("major", "minor"), version.split(), strict=True):
        (about / name).write_text(f"{number}\n")
    (tmp_path / "usr/libexec/xen/bin").mkdir(parents=True)
    assert list(state(root=str(tmp_path)).values()) == [hook]


def test_a_proxy_counts_where_one_lies_and_debians_wrapper_is_none(tmp_path: Path) -> None:
    debian = tmp_path / "usr/lib/xen-4.17/bin"
    wrapper = tmp_path / "usr/lib/xen-common/bin/xen-utils-wrapper"
    for directory in (debian, wrapper.parent, tmp_path / "usr/bin", tmp_path / "usr/local/bin"):
        directory.mkdir(parents=True)
    wrapper.write_text("wrapper")
    (tmp_path / "usr/bin" / PROXY).symlink_to(wrapper)
    assert proxies(root=str(tmp_path)) == {}
    (debian / PROXY).write_text("theirs")
    local = tmp_path / "usr/local/bin" / PROXY
    local.symlink_to(f"{INSTALLED}/{PROXY}")
    found = {str(debian): Hook.THEIRS, str(local.parent): Hook.OURS}
    assert proxies(root=str(tmp_path)) == found
    # Half of a switch: it is still to be finished.
    (debian / PROXY).rename(debian / f"{PROXY}{KEPT}")
    assert proxies(root=str(tmp_path)) == found
    assert proxies([str(debian)]) == {str(debian): Hook.THEIRS}


def test_each_program_of_ours_has_its_own_name(tmp_path: Path) -> None:
    for name, other in ((NAME, PROXY), (PROXY, NAME)):
        (tmp_path / name).symlink_to(launcher(other))
        assert hook_in(str(tmp_path), name) is Hook.THEIRS
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to(launcher(name))
        assert hook_in(str(tmp_path), name) is Hook.OURS
