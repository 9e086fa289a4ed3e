"""A handle that a process was killed with, in the process that goes on with it.

The two share the line to the hypervisor: what one was answered, the other may read.
"""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from backend.platform.embedded.grant_handles import EmbeddedGrantMapper, EmbeddedGrantSharer
from backend.platform.embedded.handle import Handle
from backend.platform.embedded.wire import Kind, encode
from protocol.xenpv.ids import DOM0, Domid
from tests.conftest import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.platform.embedded.grant_handles import EmbeddedGrantedPages
    from backend.platform.embedded.hypervisor import EmbeddedHypervisor

GUEST = Domid(5)


@pytest.fixture
def granted(hypervisor: EmbeddedHypervisor) -> Iterator[EmbeddedGrantedPages]:
    sharer = EmbeddedGrantSharer(hypervisor.rundir, GUEST)
    pages = sharer.share(DOM0, 5)
    for number in range(5):
        pages.memory[number << 12] = number + 1
    yield pages
    pages.close()
    sharer.close()


def die_asking(handle: Handle, packet: bytes) -> None:
    """Ask as a process that is killed before it hears the answer."""
    with socket.socket(fileno=os.dup(handle.fileno())) as line:
        line.sendall(packet)


def test_an_answer_to_the_dead_is_nobody_elses(
    hypervisor: EmbeddedHypervisor, granted: EmbeddedGrantedPages
) -> None:
    handle = Handle(hypervisor.rundir, Kind.MAPPER, DOM0)
    one = encode({"call": "map", "domid": GUEST, "serial": 1}, granted.grefs[:1])
    for _ in range(3):
        die_asking(handle, one)
    before = descriptors()
    with pytest.raises(OSError, match="no such mapping"):
        handle.call("unmap", number=77)
    reply = handle.call("map", granted.grefs, domid=GUEST)
    assert reply.fields["number"] == 4
    reply.close()
    assert descriptors() == before
    handle.close_politely()


def test_what_a_killed_process_had_mapped_is_given_back(
    hypervisor: EmbeddedHypervisor, granted: EmbeddedGrantedPages
) -> None:
    mapper = EmbeddedGrantMapper(hypervisor.rundir, DOM0)
    for _ in range(3):
        child = os.fork()
        if not child:
            try:
                mapper.begin_again()
                mapper.map(GUEST, granted.grefs)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    mapper.begin_again()
    pages = mapper.map(GUEST, granted.grefs)
    assert pages.memory[4 << 12] == 5
    mapped = [line for line in hypervisor.leaks() if "mapped" in line]
    assert mapped == [f"domain 0: 5 pages of domain 5 mapped, by process {os.getpid()}"]
    pages.close()
    mapper.close()
