from __future__ import annotations

import errno
import os

import pytest

from backend.platform.embedded.channels import PortTable
from protocol.xenpv.ids import DOM0, Domid

GUEST = Domid(5)


def test_ports_run_out_with_enospc_and_come_back() -> None:
    table = PortTable(GUEST, 3)
    ports = [table.alloc_unbound(DOM0) for _ in range(3)]
    assert sorted(port.number for port in ports) == [1, 2, 3]
    with pytest.raises(OSError, match="no event channels left") as error:
        table.alloc_unbound(DOM0)
    assert error.value.errno == errno.ENOSPC
    table.close(ports.pop(1))
    ports.append(table.alloc_unbound(DOM0))
    for port in ports:
        table.close(port)


def test_a_binding_that_finds_no_port_leaves_the_other_end_unbound() -> None:
    guest, dom0 = PortTable(GUEST, 1), PortTable(DOM0, 0)
    far = guest.alloc_unbound(DOM0)
    with pytest.raises(OSError, match="no event channels left"):
        dom0.bind(far)
    assert guest.offered(far.number, DOM0) is far
    guest.close(far)


def test_the_bells_go_with_the_second_end_whichever_it_is() -> None:
    guest, dom0 = PortTable(GUEST), PortTable(DOM0)
    for guest_first in (True, False):
        far = guest.alloc_unbound(DOM0)
        near = dom0.bind(far)
        bells = far.channel.bells
        assert near.bells == tuple(reversed(far.bells))
        ends = [(guest, far), (dom0, near)]
        if not guest_first:
            ends.reverse()
        ends[0][0].close(ends[0][1])
        assert all(os.fstat(bell) for bell in bells)
        ends[1][0].close(ends[1][1])
        for bell in bells:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(bell)


def test_domains_number_their_ports_differently() -> None:
    ports = [(PortTable(Domid(domid)), domid) for domid in range(20)]
    opened = [(table, table.alloc_unbound(DOM0)) for table, _ in ports]
    assert len({port.number for _, port in opened}) == 20
    for table, port in opened:
        table.close(port)
