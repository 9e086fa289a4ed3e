"""Puts a program of ours where libxl looks for Xen's, and gives the place back.

What lies there is kept beside it with ``.distrib`` added to its name.  Where dpkg owns it,
dpkg-divert moves it, so that an update of Xen's package goes to the kept file; elsewhere an update
puts Xen's program back over our link, and ``install`` has to be run again.

Each step leaves a state that both functions finish from: an interruption loses nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Final

from backend.hook.places import KEPT, NAME, is_ours, launcher

_LOCAL: Final = "LOCAL"
"""dpkg-divert's name for an administrator's diversion: ours is one, and no package's."""


class SwitchError(Exception):
    """A directory cannot be switched; the text names it and says why."""


def install(directory: str, name: str = NAME) -> bool:
    """Have libxl start our program; false if it does already.

    Raises ``SwitchError``, ``OSError``.
    """
    path = os.path.join(directory, name)
    program = launcher(name)
    if not os.access(program, os.X_OK):
        raise SwitchError(f"{program}: not there, or not executable; is xen-fileproxy installed?")
    if is_ours(path):
        return False
    if _belongs_to_a_package(path):
        _divert(path)
    if os.path.lexists(path):  # no package's, or put there past dpkg
        os.replace(path, path + KEPT)
    _link(program, path)
    return True


def remove(directory: str, name: str = NAME) -> bool:
    """Have libxl start what it started before; false if it does already.

    Raises ``SwitchError``, ``OSError``.
    """
    path = os.path.join(directory, name)
    ours, kept = is_ours(path), os.path.lexists(path + KEPT)
    if not ours and (os.path.lexists(path) or not kept):
        return False
    if ours:
        os.unlink(path)
    if _diversion(path) == _LOCAL:
        _dpkg_divert("--local", "--rename", "--divert", path + KEPT, "--remove", path)
    elif kept:
        os.replace(path + KEPT, path)
    return True


def _link(program: str, path: str) -> None:
    """Make the link in one step, so that libxl never finds half of it."""
    temporary = f"{path}.new"
    if os.path.lexists(temporary):  # an interrupted one's
        os.unlink(temporary)
    os.symlink(program, temporary)
    os.replace(temporary, path)


def _belongs_to_a_package(path: str) -> bool:
    """Whether dpkg installed ``path``."""
    if shutil.which("dpkg-query") is None:
        return False
    done = subprocess.run(["dpkg-query", "--search", path], capture_output=True, check=False)
    return done.returncode == 0


def _divert(path: str) -> None:
    holder = _diversion(path)
    if holder is None:
        _dpkg_divert("--local", "--rename", "--divert", path + KEPT, "--add", path)
    elif holder != _LOCAL:
        raise SwitchError(
            f"{path}: package {holder} has diverted it already (dpkg-divert --list {path})"
        )


def _diversion(path: str) -> str | None:
    """Who has diverted ``path``: a package, ``LOCAL``, or nobody."""
    if shutil.which("dpkg-divert") is None:
        return None
    return _dpkg_divert("--listpackage", path).strip() or None


def _dpkg_divert(*arguments: str) -> str:
    done = subprocess.run(["dpkg-divert", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip() or f"status {done.returncode}"
        raise SwitchError(f"dpkg-divert {' '.join(arguments)}: {said}")
    return done.stdout
