from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from pickle import PickleBuffer
from typing import Protocol

import pytest

from backend.platform.embedded.handle import Handle
from backend.platform.embedded.hypervisor import EmbeddedHypervisor, HypervisorControl
from backend.platform.embedded.wire import Kind
from protocol.xenpv.ids import DOM0, DOMID_FIRST_RESERVED, Domid


class Closable(Protocol):
    def close(self) -> None: ...


ROOT = Path(__file__).resolve().parents[4]


def test_domains_come_and_go(hypervisor: EmbeddedHypervisor) -> None:
    hypervisor.create_domain(7)
    assert hypervisor.domains() == [0, 5, 7]
    hypervisor.destroy_domain(5)
    assert hypervisor.domains() == [0, 7]


@pytest.mark.parametrize(
    ("domid", "number"),
    [
        (0, errno.EINVAL),
        (-1, errno.EINVAL),
        (5, errno.EEXIST),
        (DOMID_FIRST_RESERVED, errno.EINVAL),
        (DOMID_FIRST_RESERVED - 1, 0),
    ],
)
def test_which_domains_can_be_created(
    hypervisor: EmbeddedHypervisor, domid: int, number: int
) -> None:
    if number == 0:
        hypervisor.create_domain(domid)
        assert domid in hypervisor.domains()
        return
    with pytest.raises(OSError, match=r"domid|exists") as error:
        hypervisor.create_domain(domid)
    assert error.value.errno == number
    assert hypervisor.domains() == [0, 5]


def test_which_domains_cannot_be_destroyed(hypervisor: EmbeddedHypervisor) -> None:
    with pytest.raises(ProcessLookupError, match="there is no domain 6"):
        hypervisor.destroy_domain(6)
    with pytest.raises(PermissionError, match="Dom0 cannot be destroyed"):
        hypervisor.destroy_domain(0)


def test_a_handle_for_a_domain_that_is_not_there(hypervisor: EmbeddedHypervisor) -> None:
    with pytest.raises(ProcessLookupError, match="there is no domain 6"):
        hypervisor.platform(6).grant_mapper()


def test_only_dom0_controls(hypervisor: EmbeddedHypervisor) -> None:
    with pytest.raises(PermissionError, match="only Dom0"):
        Handle(hypervisor.rundir, Kind.CONTROL, Domid(5))


def test_a_second_control_sees_the_same(hypervisor: EmbeddedHypervisor) -> None:
    with HypervisorControl(hypervisor.rundir) as control:
        control.create_domain(6)
        assert hypervisor.domains() == control.domains() == [0, 5, 6]


def test_handles_of_a_destroyed_domain_hang_up(hypervisor: EmbeddedHypervisor) -> None:
    guest = hypervisor.platform(5)
    sharer, events = guest.grant_sharer(), guest.event_channels()
    pages = sharer.share(DOM0, 3)
    events.alloc_unbound(DOM0)
    hypervisor.destroy_domain(5)
    with pytest.raises(ConnectionResetError, match="the domain was destroyed"):
        sharer.share(DOM0, 1)
    with pytest.raises(OSError, match="closed") as error:
        sharer.share(DOM0, 1)
    assert error.value.errno == errno.EBADF
    pages.memory[0:2] = b"ok"
    for thing in (pages, sharer, events):
        thing.close()


def test_a_domid_used_again_has_nothing_of_the_former_domain(
    hypervisor: EmbeddedHypervisor,
) -> None:
    former = hypervisor.platform(5).grant_sharer()
    shared = former.share(DOM0, 1)
    grefs = shared.grefs
    mapper = hypervisor.platform().grant_mapper()
    mapped = mapper.map(Domid(5), grefs)
    mapped.memory[0:3] = b"old"
    hypervisor.destroy_domain(5)
    with pytest.raises(FileExistsError, match="its pages are still mapped"):
        hypervisor.create_domain(5)
    again = mapper.map(Domid(5), grefs)
    assert bytes(again.memory[0:3]) == b"old"
    mapped.close()
    again.close()
    hypervisor.create_domain(5)
    with pytest.raises(OSError, match="has not granted"):
        mapper.map(Domid(5), grefs)
    sharer = hypervisor.platform(5).grant_sharer()
    pages = sharer.share(DOM0, 1)
    assert bytes(pages.memory[0:3]) == bytes(3)
    things: list[Closable] = [shared, former, mapper, pages, sharer]
    for thing in things:
        thing.close()


def test_a_domain_that_is_dying_offers_no_port(hypervisor: EmbeddedHypervisor) -> None:
    """EINVAL and not ESRCH: Xen still knows it (``evtchn_bind_interdomain``)."""
    guest, dom0 = hypervisor.platform(5), hypervisor.platform()
    sharer, far = guest.grant_sharer(), guest.event_channels()
    port = far.alloc_unbound(DOM0)
    pages = sharer.share(DOM0, 1)
    mapper, near = dom0.grant_mapper(), dom0.event_channels()
    mapped = mapper.map(Domid(5), pages.grefs)
    hypervisor.destroy_domain(5)
    with pytest.raises(OSError, match="offers no port") as error:
        near.bind_interdomain(Domid(5), port)
    assert error.value.errno == errno.EINVAL
    mapped.close()
    with pytest.raises(ProcessLookupError):
        near.bind_interdomain(Domid(5), port)
    for thing in (pages, sharer, far, mapper, near):
        thing.close()


def test_a_process_that_was_killed_frees_a_domid(hypervisor: EmbeddedHypervisor) -> None:
    sharer = hypervisor.platform(5).grant_sharer()
    pages = sharer.share(DOM0, 1)
    script = f"""
from backend.platform import open_platform
import sys
mapper = open_platform("embedded:{hypervisor.rundir}").grant_mapper()
pages = mapper.map(5, {list(pages.grefs)})
print("ready", flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        hypervisor.destroy_domain(5)
        process.kill()
    hypervisor.create_domain(5)
    for thing in (pages, sharer):
        thing.close()


def test_leaks_names_what_is_held_and_by_whom(hypervisor: EmbeddedHypervisor) -> None:
    guest, dom0 = hypervisor.platform(5), hypervisor.platform()
    sharer, mapper = guest.grant_sharer(), dom0.grant_mapper()
    near, far = dom0.event_channels(), guest.event_channels()
    pages = sharer.share(DOM0, 3)
    mapped = mapper.map(Domid(5), pages.grefs[1:])
    bound = far.alloc_unbound(DOM0)
    local = near.bind_interdomain(Domid(5), bound)
    unbound = far.alloc_unbound(Domid(9))
    by = f", by process {os.getpid()}"
    assert hypervisor.leaks() == sorted(
        line + by
        for line in [
            "domain 5: 3 pages granted to domain 0",
            "domain 0: 2 pages of domain 5 mapped",
            f"domain 5: port {bound} bound to port {local} of domain 0",
            f"domain 0: port {local} bound to port {bound} of domain 5",
            f"domain 5: port {unbound} unbound, for domain 9",
            "domain 5: a handle (sharer)",
            "domain 5: a handle (events)",
            "domain 0: a handle (mapper)",
            "domain 0: a handle (events)",
        ]
    )
    for thing in (mapped, mapper, pages, sharer, near, far):
        thing.close()


def test_a_long_list_of_leaks_comes_whole(hypervisor: EmbeddedHypervisor) -> None:
    sharer = hypervisor.platform(5).grant_sharer()
    pages = [sharer.share(DOM0, 1) for _ in range(1200)]
    assert len(hypervisor.leaks()) == 1201
    for each in pages:
        each.close()
    sharer.close()


def test_a_process_that_was_killed_holds_nothing(hypervisor: EmbeddedHypervisor) -> None:
    script = f"""
from backend.platform import open_platform
import sys
guest = open_platform("embedded:{hypervisor.rundir}", domid=5)
held = [guest.grant_sharer(), guest.event_channels()]
pages = held[0].share(0, 100)
held[1].alloc_unbound(0)
print("ready", flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert len(hypervisor.leaks()) == 4
        process.kill()
    assert hypervisor.leaks() == []


def test_twenty_five_frontends_fit_one_process(hypervisor: EmbeddedHypervisor) -> None:
    """Each 2 rings of an interface page and 512 data pages, both ends mapped here."""
    mapper = hypervisor.platform().grant_mapper()
    made: list[Closable] = []
    for domid in range(10, 35):
        hypervisor.create_domain(domid)
        sharer = hypervisor.platform(domid).grant_sharer()
        made.append(sharer)
        for _ring in range(2):
            for count in (1, 512):
                pages = sharer.share(DOM0, count)
                mapped = mapper.map(Domid(domid), pages.grefs)
                pages.memory[-2:] = domid.to_bytes(2, "little")
                made += [pages, mapped]
                assert bytes(mapped.memory[-2:]) == domid.to_bytes(2, "little")
    mappings = Path("/proc/self/maps").read_bytes().count(b"\n")
    assert mappings < 30_000
    for thing in (*made, mapper):
        thing.close()


def test_a_child_does_not_inherit_mapped_pages(hypervisor: EmbeddedHypervisor) -> None:
    script = f"""
import os
from backend.platform import open_platform
guest = open_platform("embedded:{hypervisor.rundir}", domid=5)
sharer = guest.grant_sharer()
pages = sharer.share(0, 1)
child = os.fork()
if child == 0:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages.memory[0] = 1
    os._exit(0)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
pages.close()
sharer.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, cwd=ROOT, check=True, timeout=30
    )
    assert int(done.stdout) == -signal.SIGSEGV


def test_closing_while_a_system_call_uses_the_memory_is_refused(
    hypervisor: EmbeddedHypervisor,
) -> None:
    sharer = hypervisor.platform(5).grant_sharer()
    pages = sharer.share(DOM0, 1)
    user = PickleBuffer(pages.memory)
    with pytest.raises(BufferError):
        pages.close()
    user.release()
    pages.close()
    sharer.close()
