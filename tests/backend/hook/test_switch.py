"""The link is put in place and taken away, with what was there kept beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from backend.hook import places
from backend.hook.places import Hook, hook_in
from backend.hook.switch import SwitchError, install, remove

if TYPE_CHECKING:
    from pathlib import Path


def seen(libexec: Path) -> dict[str, str]:
    """What lies there: a file's content, a link's target."""
    return {
        path.name: os.readlink(path) if path.is_symlink() else path.read_text()
        for path in libexec.iterdir()
    }


@pytest.fixture
def dpkg(tmp_path: Path, libexec: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database of dpkg's in which a package owns the daemon."""
    if shutil.which("dpkg-divert") is None:
        pytest.skip("needs dpkg")
    admin = tmp_path / "dpkg"
    (admin / "info").mkdir(parents=True)
    (admin / "updates").mkdir()
    (admin / "available").write_text("")
    (admin / "status").write_text(
        "Package: xen-utils-4.20\nStatus: install ok installed\nArchitecture: all\n"
        "Maintainer: nobody <nobody@localhost>\nVersion: 1\nDescription: x\n\n"
    )
    (admin / "info" / "xen-utils-4.20.list").write_text(f"{libexec}/xen-9pfsd\n")
    monkeypatch.setenv("DPKG_ADMINDIR", str(admin))
    return admin


def diversions(libexec: Path) -> str:
    return subprocess.run(
        ["dpkg-divert", "--list", f"{libexec}/*"], capture_output=True, text=True, check=True
    ).stdout


def test_link_and_back(libexec: Path) -> None:
    assert install(str(libexec))
    assert seen(libexec) == {"xen-9pfsd": places.launcher(), "xen-9pfsd.distrib": "theirs"}
    assert hook_in(str(libexec)) is Hook.OURS
    assert not install(str(libexec))
    assert remove(str(libexec))
    assert seen(libexec) == {"xen-9pfsd": "theirs"}
    assert not remove(str(libexec))


def test_a_program_of_another_name(libexec: Path) -> None:
    (libexec / "vchan-socket-proxy").write_text("theirs too")
    before = seen(libexec)
    assert install(str(libexec), "vchan-socket-proxy")
    assert seen(libexec) == {
        "xen-9pfsd": "theirs",
        "vchan-socket-proxy": places.launcher("vchan-socket-proxy"),
        "vchan-socket-proxy.distrib": "theirs too",
    }
    assert remove(str(libexec), "vchan-socket-proxy")
    assert seen(libexec) == before


def test_where_nothing_was_nothing_is_left(libexec: Path) -> None:
    (libexec / "xen-9pfsd").unlink()
    assert install(str(libexec))
    assert seen(libexec) == {"xen-9pfsd": places.launcher()}
    assert remove(str(libexec))
    assert seen(libexec) == {}
    assert not remove(str(libexec))


def test_an_update_that_put_theirs_back_is_kept_in_place_of_the_old_one(libexec: Path) -> None:
    install(str(libexec))
    (libexec / "xen-9pfsd").unlink()
    (libexec / "xen-9pfsd").write_text("newer")
    assert not remove(str(libexec))  # theirs is in place: nothing to give back
    assert install(str(libexec))
    assert remove(str(libexec))
    assert seen(libexec) == {"xen-9pfsd": "newer"}


def test_both_finish_what_was_interrupted(libexec: Path) -> None:
    daemon = libexec / "xen-9pfsd"
    daemon.rename(libexec / "xen-9pfsd.distrib")
    (libexec / "xen-9pfsd.new").symlink_to("half")
    assert install(str(libexec))
    assert seen(libexec) == {"xen-9pfsd": places.launcher(), "xen-9pfsd.distrib": "theirs"}
    daemon.unlink()
    assert remove(str(libexec))
    assert seen(libexec) == {"xen-9pfsd": "theirs"}


def test_a_package_s_file_is_diverted(dpkg: Path, libexec: Path) -> None:
    assert install(str(libexec))
    assert seen(libexec) == {"xen-9pfsd": places.launcher(), "xen-9pfsd.distrib": "theirs"}
    assert diversions(libexec) == (
        f"local diversion of {libexec}/xen-9pfsd to {libexec}/xen-9pfsd.distrib\n"
    )
    assert not install(str(libexec))
    # As dpkg does when the package is updated.
    (libexec / "xen-9pfsd.distrib").write_text("newer")
    assert remove(str(libexec))
    assert seen(libexec) == {"xen-9pfsd": "newer"}
    assert diversions(libexec) == ""
    assert not remove(str(libexec))


def test_an_interrupted_diversion_is_finished_by_both(dpkg: Path, libexec: Path) -> None:
    for finish, left in ((install, Hook.OURS), (remove, Hook.THEIRS)):
        install(str(libexec))
        (libexec / "xen-9pfsd").unlink()
        assert finish(str(libexec))
        assert hook_in(str(libexec)) is left


def test_a_diversion_whose_package_was_removed_goes_with_the_link(
    dpkg: Path, libexec: Path
) -> None:
    install(str(libexec))
    (libexec / "xen-9pfsd.distrib").unlink()
    assert remove(str(libexec))
    assert seen(libexec) == {}
    assert diversions(libexec) == ""


def test_another_package_s_diversion_is_respected(dpkg: Path, libexec: Path) -> None:
    path = f"{libexec}/xen-9pfsd"
    subprocess.run(
        ["dpkg-divert", "--package", "other", "--no-rename", "--divert", f"{path}.other", path],
        check=True,
        capture_output=True,
    )
    with pytest.raises(SwitchError, match="package other has diverted it already"):
        install(str(libexec))
    assert seen(libexec) == {"xen-9pfsd": "theirs"}


def test_what_dpkg_refuses_is_said(dpkg: Path, libexec: Path) -> None:
    (libexec / "xen-9pfsd.distrib").mkdir()
    with pytest.raises(SwitchError, match=r"dpkg-divert --local .*: "):
        install(str(libexec))


def test_a_program_that_is_not_there_is_named(
    libexec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.hook.switch.launcher", "/none/{}".format)
    with pytest.raises(SwitchError, match=r"^/none/xen-9pfsd: not there"):
        install(str(libexec))


def test_without_dpkg_there_is_nothing_to_divert(
    libexec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/none")
    assert install(str(libexec))
    assert remove(str(libexec))
    assert seen(libexec) == {"xen-9pfsd": "theirs"}
