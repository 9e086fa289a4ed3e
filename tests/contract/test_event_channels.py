"""What every platform's event channels must do."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from protocol.xenpv.ids import DOM0, Domid, Evtchn
from tests.contract.refused import refused

if TYPE_CHECKING:
    from contextlib import ExitStack

    from tests.contract.conftest import Agents, Bed, Here
    from tests.contract.peer import RemotePeer as Peer


def bound(here: Here, guest: Peer) -> tuple[Evtchn, int]:
    """A channel that the guest offered and Dom0 bound to, with the first event taken."""
    theirs = guest.alloc_unbound(remote=0)
    ours = here.events.bind_interdomain(Domid(guest.domid), Evtchn(theirs))
    assert here.wait() == ours
    here.events.unmask(ours)
    return ours, theirs


def test_a_new_binding_is_pending_at_once(here: Here, guest: Peer) -> None:
    theirs = guest.alloc_unbound(remote=0)
    ours = here.events.bind_interdomain(Domid(guest.domid), Evtchn(theirs))
    assert ours > 0
    assert here.wait() == ours
    assert here.events.pending() is None


def test_notify_reaches_the_other_process_both_ways(here: Here, guest: Peer) -> None:
    ours, theirs = bound(here, guest)
    here.events.notify(ours)
    assert guest.wait(seconds=10) == theirs
    guest.notify(port=theirs)
    assert here.wait() == ours


def test_nothing_pending_does_not_wait(here: Here, guest: Peer) -> None:
    bound(here, guest)
    assert here.events.pending() is None


def test_the_descriptor_polls_only_while_an_unmasked_port_is_pending(
    here: Here, guest: Peer
) -> None:
    ours, theirs = bound(here, guest)
    assert not here.readable()
    guest.notify(port=theirs)
    assert here.readable(10)
    assert here.events.pending() == ours
    assert not here.readable()


def test_an_event_while_masked_is_seen_after_unmask(here: Here, guest: Peer) -> None:
    ours, theirs = bound(here, guest)
    guest.notify(port=theirs)
    assert here.wait() == ours
    guest.notify(port=theirs)
    assert not here.readable()
    assert here.events.pending() is None
    here.events.unmask(ours)
    assert here.wait() == ours
    here.events.unmask(ours)
    assert here.events.pending() is None


def test_many_notifications_are_one_event_or_two(here: Here, guest: Peer) -> None:
    """The first may be with Linux's driver already, which masks the port until we have seen it;
    Xen keeps one bit for all that come meanwhile.
    """
    ours, theirs = bound(here, guest)
    for _ in range(5):
        guest.notify(port=theirs)
    seen = 0
    while (port := here.wait(1)) is not None:
        assert port == ours
        seen += 1
        here.events.unmask(ours)
    assert seen in (1, 2)


def test_each_pending_port_is_given_once(here: Here, guest: Peer) -> None:
    pairs = [bound(here, guest) for _ in range(5)]
    for _, theirs in pairs:
        guest.notify(port=theirs)
    seen = [here.wait() for _ in pairs]
    assert sorted(port or 0 for port in seen) == sorted(ours for ours, _ in pairs)
    assert here.events.pending() is None


def test_a_masked_port_does_not_hold_back_another(here: Here, guest: Peer) -> None:
    masked, masks = bound(here, guest)
    ours, theirs = bound(here, guest)
    guest.notify(port=masks)
    assert here.wait() == masked
    guest.notify(port=masks)
    guest.notify(port=theirs)
    assert here.wait() == ours
    assert here.events.pending() is None


def test_unmasking_an_unmasked_port_changes_nothing(here: Here, guest: Peer) -> None:
    ours, theirs = bound(here, guest)
    here.events.unmask(ours)
    assert here.events.pending() is None
    guest.notify(port=theirs)
    assert here.wait() == ours


def test_no_event_is_lost_between_two_processes(here: Here, guest: Peer) -> None:
    """1,000 turns, each end waiting for the other: one lost event would be a dead lock."""
    ours, theirs = bound(here, guest)
    guest.begin("echo", port=theirs, times=1000)
    for _ in range(1000):
        here.events.notify(ours)
        assert here.wait() == ours
        here.events.unmask(ours)
    guest.finish()


def test_a_notification_before_anybody_bound_is_lost_silently(here: Here, guest: Peer) -> None:
    theirs = guest.alloc_unbound(remote=0)
    guest.notify(port=theirs)
    ours = here.events.bind_interdomain(Domid(guest.domid), Evtchn(theirs))
    assert here.wait() == ours
    here.events.unmask(ours)
    assert here.events.pending() is None


def test_a_notification_to_a_closed_end_is_lost_silently(here: Here, guest: Peer) -> None:
    ours, theirs = bound(here, guest)
    guest.unbind(port=theirs)
    here.events.notify(ours)
    here.events.notify(ours)
    assert here.events.pending() is None


@pytest.mark.parametrize("who_allocates", ["guest", "dom0"])
def test_an_unbound_end_can_be_bound_to_again(here: Here, guest: Peer, who_allocates: str) -> None:
    if who_allocates == "guest":
        ours, theirs = bound(here, guest)
    else:
        ours = here.events.alloc_unbound(Domid(guest.domid))
        theirs = guest.bind_interdomain(remote=0, port=ours)
        assert guest.wait(seconds=10) == theirs
        guest.unmask(port=theirs)
    here.events.unbind(ours)
    again = here.events.bind_interdomain(Domid(guest.domid), Evtchn(theirs))
    assert here.wait() == again
    here.events.unmask(again)
    guest.notify(port=theirs)
    assert here.wait() == again
    here.events.notify(again)
    assert guest.wait(seconds=10) == theirs


def test_a_bound_port_cannot_be_bound_to(here: Here, guest: Peer) -> None:
    _, theirs = bound(here, guest)
    with refused(errno.EINVAL):
        here.events.bind_interdomain(Domid(guest.domid), Evtchn(theirs))


def test_a_port_offered_to_another_domain_cannot_be_bound_to(
    bed: Bed, here: Here, guest: Peer
) -> None:
    theirs = guest.alloc_unbound(remote=bed.other)
    with refused(errno.EINVAL):
        here.events.bind_interdomain(bed.guest, Evtchn(theirs))


def test_a_port_nobody_opened_cannot_be_bound_to(here: Here, guest: Peer) -> None:
    with refused(errno.EINVAL):
        here.events.bind_interdomain(Domid(guest.domid), Evtchn(4000))


def test_a_domain_that_does_not_exist_cannot_be_bound_to(here: Here) -> None:
    with pytest.raises(ProcessLookupError):
        here.events.bind_interdomain(Domid(0x7FEF), Evtchn(1))


def test_a_killed_process_leaves_the_other_end_bindable_three_times_in_a_row(
    guest: Peer, agents: Agents
) -> None:
    theirs = guest.alloc_unbound(remote=0)
    for _ in range(3):
        worker = agents()
        ours = worker.bind_interdomain(remote=guest.domid, port=theirs)
        assert worker.wait(seconds=10) == ours
        worker.unmask(port=ours)
        guest.notify(port=theirs)
        assert worker.wait(seconds=10) == ours
        worker.notify(port=ours)
        assert guest.wait(seconds=10) == theirs
        guest.unmask(port=theirs)
        worker.kill()
        guest.notify(port=theirs)


def test_an_event_sent_while_nobody_was_bound_is_made_good_at_binding(
    guest: Peer, agents: Agents, here: Here
) -> None:
    theirs = guest.alloc_unbound(remote=0)
    worker = agents()
    worker.bind_interdomain(remote=guest.domid, port=theirs)
    worker.kill()
    guest.notify(port=theirs)
    ours = here.events.bind_interdomain(Domid(guest.domid), Evtchn(theirs))
    assert here.wait() == ours


def test_closing_the_handle_unbinds_all_its_ports(bed: Bed, here: Here, guest: Peer) -> None:
    events = bed.dom0().event_channels()
    ports = [guest.alloc_unbound(remote=0) for _ in range(3)]
    for port in ports:
        events.bind_interdomain(bed.guest, Evtchn(port))
    events.close()
    events.close()
    for port in ports:
        assert here.events.bind_interdomain(bed.guest, Evtchn(port))


def test_the_end_of_a_domain_leaves_our_port_unbound_and_silent(
    bed: Bed, here: Here, guest: Peer
) -> None:
    ours, _ = bound(here, guest)
    guest.kill()
    bed.destroy(bed.guest)
    here.events.notify(ours)
    here.events.unbind(ours)
    assert here.events.pending() is None


def test_an_unbound_port_is_heard_no_more(here: Here, guest: Peer) -> None:
    ours, theirs = bound(here, guest)
    guest.notify(port=theirs)
    assert here.readable(10)
    here.events.unbind(ours)
    # Linux's driver may still poll readable for it, once.
    assert here.events.pending() is None
    assert not here.readable()


def test_ports_that_are_not_open_on_this_handle_are_refused(
    bed: Bed, here: Here, guest: Peer
) -> None:
    ours, _ = bound(here, guest)
    with refused(errno.ENOTCONN):
        here.events.notify(Evtchn(ours + 1))
    other: Any = bed.dom0().event_channels()
    with refused(errno.ENOTCONN):
        other.unbind(ours)
    other.close()


def test_a_restricted_handle_binds_to_its_one_domain_only(
    bed: Bed, here: Here, guest: Peer, agents: Agents
) -> None:
    before, theirs = bound(here, guest)
    foreign = agents(bed.other).alloc_unbound(remote=0)
    here.events.restrict(bed.guest)
    with refused(errno.EACCES):
        here.events.bind_interdomain(bed.other, Evtchn(foreign))
    with refused(errno.EACCES):
        here.events.restrict(bed.other)
    here.events.notify(before)
    assert guest.wait(seconds=10) == theirs
    bound(here, guest)


def test_a_restricted_handle_offers_no_port(bed: Bed, here: Here) -> None:
    """Not even to its one domain (Linux drivers/xen/evtchn.c, IOCTL_EVTCHN_BIND_UNBOUND_PORT)."""
    here.events.restrict(bed.guest)
    for domid in (bed.guest, bed.other, DOM0):
        with refused(errno.EACCES):
            here.events.alloc_unbound(domid)


def test_a_handle_cannot_be_restricted_to_dom0(here: Here) -> None:
    with refused(errno.EINVAL):
        here.events.restrict(DOM0)


def test_another_handle_goes_on_with_the_descriptors_of_the_first(
    here: Here, guest: Peer, stack: ExitStack
) -> None:
    """As another process does, which has its own numbers of them."""
    ours, theirs = bound(here, guest)
    guest.notify(port=theirs)
    known = here.events.described()
    adopt = here.platform.event_channel_adopter()
    here.events = adopt(known._replace(descriptors=tuple(map(os.dup, known.descriptors))))
    stack.callback(here.events.close)
    assert here.wait() == ours
    guest.notify(port=theirs)
    assert not here.readable()
    here.events.unmask(ours)
    assert here.wait() == ours
    here.events.notify(ours)
    assert guest.wait(seconds=10) == theirs
