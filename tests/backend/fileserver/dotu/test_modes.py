"""Modes and open flags, to and fro."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from backend.fileserver.dotu.modes import DMREG, dotu_mode, host_flags, kind_of, permissions
from protocol.ninep.flags import (
    DMAPPEND,
    DMAUTH,
    DMDEVICE,
    DMDIR,
    DMEXCL,
    DMLINK,
    DMMOUNT,
    DMNAMEDPIPE,
    DMSETGID,
    DMSETUID,
    DMSETVTX,
    DMSOCKET,
    DMSYMLINK,
    DMTMP,
    OAPPEND,
    OEXEC,
    ORCLOSE,
    ORDWR,
    OREAD,
    OREXEC,
    OTRUNC,
    OWRITE,
)
from tests.backend.fileserver.client import refused


@pytest.mark.parametrize(
    ("host", "dotu"),
    [
        (stat.S_IFREG | 0o644, 0o644),
        (stat.S_IFDIR | 0o1777, DMDIR | DMSETVTX | 0o777),
        (stat.S_IFLNK | 0o777, DMSYMLINK | 0o777),
        (stat.S_IFBLK | 0o600, DMDEVICE | 0o600),
        (stat.S_IFCHR | 0o600, DMDEVICE | 0o600),
        (stat.S_IFIFO | 0o640, DMNAMEDPIPE | 0o640),
        (stat.S_IFSOCK | 0o755, DMSOCKET | 0o755),
        (stat.S_IFREG | 0o6755, DMSETUID | DMSETGID | 0o755),
    ],
)
def test_a_mode_and_back(host: int, dotu: int) -> None:
    assert dotu_mode(host) == dotu
    assert permissions(dotu) == stat.S_IMODE(host)


def test_bits_that_mean_nothing_here_are_left_out() -> None:
    assert permissions(0o100000 | 0o7000 | 0o123) == 0o123


@pytest.mark.parametrize("bit", [DMAPPEND, DMEXCL, DMTMP, DMAUTH, DMMOUNT])
def test_a_property_that_nobody_would_keep_is_refused(bit: int) -> None:
    with refused(errno.EOPNOTSUPP):
        permissions(bit | 0o644)


def test_a_kind_is_one_bit() -> None:
    assert kind_of(0o777) == DMREG
    assert kind_of(DMLINK) == DMLINK
    assert kind_of(DMDIR | 0o755 | DMSETVTX) == DMDIR
    with refused(errno.EINVAL):
        kind_of(DMDIR | DMSYMLINK)


@pytest.mark.parametrize(
    ("mode", "flags"),
    [
        (OREAD, os.O_RDONLY),
        (OWRITE | OTRUNC, os.O_WRONLY | os.O_TRUNC),
        (ORDWR | OAPPEND, os.O_RDWR | os.O_APPEND),
        (OEXEC | OREXEC, os.O_RDONLY),
        (ORDWR | ORCLOSE, os.O_RDWR),
    ],
)
def test_open_modes(mode: int, flags: int) -> None:
    assert host_flags(mode) == flags


@pytest.mark.parametrize("bit", [0x04, 0x08])
def test_an_unknown_bit_of_an_open_mode_is_refused(bit: int) -> None:
    with refused(errno.EINVAL):
        host_flags(bit)
