"""The event channels' handle, with a socket in the driver's place: what is asked of it."""

from __future__ import annotations

import errno
import re
import socket
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING

import pytest

from backend.platform.xen.event_handle import NOTIFY, XenEventChannels
from protocol.xenpv.ids import Evtchn
from protocol.xenpv.ports import OpenChannels

from .test_libraries import needs_libraries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEADER = Path("/usr/include/xen/evtchn.h")
OURS, NOT_OURS = Evtchn(5), Evtchn(6)


@pytest.fixture
def made() -> Iterator[tuple[XenEventChannels, socket.socket]]:
    """Event channels, and the driver's end of their handle."""
    ours, driver = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with driver:
        channels = XenEventChannels(OpenChannels((ours.detach(),), (OURS,)))
        yield channels, driver
        channels.close()


def test_the_ioctl_is_that_of_linux() -> None:
    if not HEADER.exists():
        pytest.skip("linux-libc-dev is not installed")
    header = re.sub(r"(\\?\s)+", " ", HEADER.read_text(encoding="utf-8"))
    assert "IOCTL_EVTCHN_NOTIFY _IOC(_IOC_NONE, 'E', 4, sizeof(struct ioctl_evtchn_notify))" in (
        header
    )
    assert "struct ioctl_evtchn_notify { unsigned int port; };" in header
    assert NOTIFY == 0x44504  # asm-generic/ioctl.h: size << 16 | type << 8 | number


@needs_libraries
def test_a_pending_port_is_read_and_unmasked_by_writing_it(
    made: tuple[XenEventChannels, socket.socket],
) -> None:
    channels, driver = made
    assert channels.pending() is None
    driver.send(pack("=I", NOT_OURS))  # unbound since
    driver.send(pack("=I", OURS))
    assert channels.pending() == OURS
    channels.unmask(OURS)
    assert driver.recv(100) == pack("=I", OURS)


@needs_libraries
@pytest.mark.parametrize("ask", [XenEventChannels.notify, XenEventChannels.unmask])
def test_a_port_that_is_not_ours_is_refused_without_a_call(
    made: tuple[XenEventChannels, socket.socket],
    ask: Callable[[XenEventChannels, Evtchn], None],
) -> None:
    channels, driver = made
    driver.setblocking(False)
    with pytest.raises(OSError, match="port 6 is not open") as refused:
        ask(channels, NOT_OURS)
    assert refused.value.errno == errno.ENOTCONN
    with pytest.raises(BlockingIOError):
        driver.recv(100)


@needs_libraries
def test_what_the_driver_does_not_know_is_an_error(
    made: tuple[XenEventChannels, socket.socket],
) -> None:
    channels, _driver = made
    with pytest.raises(OSError, match=r"ioctl|Inappropriate"):
        channels.notify(OURS)  # a socket has no such call
