"""The lives of a worker: what each does before it serves, from the journal that they share."""

from __future__ import annotations

import errno
import logging
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from backend.channel.tree import ChannelTree
from backend.confinement import capabilities
from backend.confinement.descriptors import is_open, open_around
from backend.confinement.walls import Refused
from backend.fileserver.grouped_lane import GroupedLane
from backend.fileserver.naming import clunked
from backend.fileserver.opening import iounit
from backend.fileserver.policies.layers import innermost, layer
from backend.fileserver.policies.quota import QuotaTree
from backend.fileserver.syncing import closed
from backend.journal.carrying import Carrier
from backend.journal.closings import ClosingFile
from backend.journal.journal import Journal
from backend.journal.layout import ENDED, GONE, REQUEST, VERSION
from backend.journal.points import mark, mark_commits
from backend.journal.renumber import named_descriptors, renumber
from backend.journal.restore import RestoreError, Unfinished, restore
from backend.journal.writer import Writer
from backend.worker.control import Failed, shortened
from backend.worker.handover import HandoverError, Offer, give
from backend.worker.keeper import HANDING_OVER, TRIES, GivenUpError, Past, keep
from backend.worker.loop import HandingOver
from protocol.ninep.codec import decode
from protocol.ninep.messages import Rlopen, Ropen, Rwrite, Tlopen, Topen, Twrite
from protocol.xenpv.ring import RingError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend.fileserver.connection import Connection
    from backend.journal.carrying import Point
    from backend.journal.debts import Debt
    from backend.journal.layout import Slot
    from backend.worker.device import Device
    from backend.worker.rings import BoundRing
    from backend.worker.successor import Successor
    from protocol.xenpv.ring import ConsumerRing, ProducerRing

log = logging.getLogger(__name__)

_SHOWN: Final = 64
"""Bytes of a request that goes into the log."""


class Lives:
    """One device's, in its keeper."""

    def __init__(self, device: Device, point: Point, successor: Successor | None = None) -> None:
        """``device`` is behind all walls but the last, which each life puts up for itself.

        With ``successor`` an earlier process still has it, and the first life is to take it.
        """
        self._device = device
        self._point = point
        self._successor = successor
        # Each life maps for itself: no process inherits the pages of another domain.
        for ring in device.rings:
            ring.unmap()
        supervision = device.supervision
        quota = layer(device.session.tree, QuotaTree)
        if quota is not None:
            quota.ledger.lend()
        if successor is None:
            self._journal = Journal(len(device.rings), device.session.limits.fids.capacity)
            kept = _open_descriptors()
        else:
            self._journal, kept = successor.journal, successor.kept
        self._journal.note_supervision(supervision.line, outlives=False)
        self._kept = frozenset(filter(is_open, kept)) - {supervision.line}

    def run(self) -> str | None:
        """Serve, until a worker ends by itself; why there is to be none, if that was not told.

        Raises ``OSError``.
        """
        capabilities.be_seen_by_children(seen=True)
        try:
            ours = None if self._successor is None else self._ours
            keep(self._journal, self._live, self._hand_over, ours)
        except GivenUpError as error:
            return str(error)
        finally:
            # Workers may have met another supervisor: the line that we had is closed.
            self._resume_supervision()
        return None

    def _resume_supervision(self) -> None:
        control, outlive = self._journal.supervision
        self._device.supervision.resume(control, outlive=outlive)

    def _ours(self) -> bool:
        """Asked once, as the first life of a successor has died."""
        successor, self._successor = self._successor, None
        return successor is not None and successor.ours()

    def _hand_over(self) -> None:
        """Give all to the process that the last worker was told of; return if it is not taken."""
        device, journal = self._device, self._journal
        channels = device.events.described()
        root, directories = device.session.tree.root.fd, tuple(filter(_is_directory, self._kept))
        rings = tuple(ring.known for ring in device.rings)
        streams = layer(device.session.tree, ChannelTree)
        named = () if streams is None else streams.channels
        listeners = tuple(channel.listener for channel in named)
        offer = Offer(
            *(VERSION, journal.lanes, journal.fids, rings, channels, root, directories, listeners)
        )
        copy = journal.copied()
        try:
            all_of_it = named_descriptors(journal) - self._kept
            if named:
                # A worker that died may have accepted one, and the next not given it to the guest.
                strays = self._open_now() - self._kept
                all_of_it |= {fd for fd in strays if any(each.is_client(fd) for each in named)}
            all_of_it |= {*channels.descriptors, root, *directories, *listeners}
            why = give(journal.handing, offer, copy, all_of_it)
        finally:
            os.close(copy)
        log.warning("not handed over, another worker goes on: %s", why)

    def _live(self, past: Past | None) -> int:
        capabilities.be_seen_by_children(seen=False)
        supervision = self._device.supervision
        if past is not None:
            self._resume_supervision()
        supervision.changed = self._journal.note_supervision
        try:
            reason = self._go_on(past)
        except HandingOver as order:
            self._journal.handing = order.descriptor
            return HANDING_OVER
        except (RestoreError, Refused, RingError, HandoverError) as error:
            reason = str(error)
        if reason is not None and not supervision.send(Failed(shortened(reason))):
            log.warning("%s", shortened(reason))  # nobody else will tell
        return 0

    def _go_on(self, past: Past | None) -> str | None:
        """Serve to the end: why it came.

        Raises ``RestoreError``, ``Refused``, ``RingError``, ``HandoverError``, ``HandingOver``.
        """
        device = self._device
        device.mapper.begin_again()
        rings = tuple(
            ring.mapped_again(device.mapper, device.settings.domid) for ring in device.rings
        )
        device = device._replace(rings=rings)
        lanes = device.lanes(GroupedLane)
        connection = device.connect(lanes)
        writer = Writer(self._journal, connection.session, connection.lanes)
        writer.indices[:] = [half.index for half in _halves(self._device.rings)]
        descriptors = innermost(device.session.tree).descriptors
        descriptors.dispose, descriptors.later = writer.close_later, writer.do_later
        if device.session.readiness is not None:
            device.session.readiness.begin_again()
            device.session.readiness.later = writer.do_later
        device.wall_in()
        unfinished = Unfinished([], [], {}, frozenset())
        if self._successor is not None:
            renumber(self._journal, self._successor.numbers)
        if past is not None:
            unfinished = self._restored(writer, connection)
        device.say_ready()
        if self._successor is not None:
            self._successor.take_over(device)
        try:
            writer.streams.go_on()
        except OSError as error:
            raise RestoreError(f"a channel's client cannot be had again: {error}") from error
        for half, index in zip(_halves(rings), writer.indices, strict=True):
            half.resume(index)
        self._commit_to(writer, lanes)
        carrier = Carrier(writer, unfinished.begun, self._point)
        connection.carried_by(carrier)
        if device.session.dialect is not None:
            connection.go_on(device.session.dialect)
        pay(writer, carrier, connection, unfinished)
        if past is not None and past.tries:
            self._beware(connection, past)
        return device.serve(connection, lambda: self._journal.uncovered)

    def _commit_to(self, writer: Writer, lanes: Iterable[GroupedLane]) -> None:
        """From now on, what becomes of requests is committed."""
        mark_commits(writer, self._point)
        for lane in lanes:
            lane.commit = writer.commit
            mark(lane, self._point)
            lane.told()

    def _restored(self, writer: Writer, connection: Connection) -> Unfinished:
        """What the worker before us has left.  Raises ``RestoreError``."""
        session = connection.session
        # What is opened from here on is ours, whoever keeps it: a memory map, for one.
        there = self._open_now()
        quota = layer(session.tree, QuotaTree)
        if quota is not None:
            quota.begin_again()
        unfinished = restore(writer, session)
        ours = {self._device.supervision.line, connection.completion_fd}
        strays = there - self._kept - ours - unfinished.descriptors
        for fd in strays - writer.streams.adopt_accepted(strays):
            with suppress(OSError):
                os.close(fd)
        if quota is not None:
            quota.go_on()
        return unfinished

    def _open_now(self) -> frozenset[int]:
        """What the worker before us has left open, and what we have opened so far."""
        return open_around(max(self._kept | named_descriptors(self._journal)))

    @staticmethod
    def _beware(connection: Connection, past: Past) -> None:
        """A request has ended workers: find out which, or answer it unlooked at.

        Raises ``RingError``.
        """
        connection.go_gently()
        if past.tries < TRIES:
            return
        head = None if past.lane is None else connection.refuse(past.lane)
        if head is not None:
            log.error(
                "a request that has ended %d workers is refused: %s",
                *(past.tries, head[:_SHOWN].hex()),
            )


def pay(writer: Writer, carrier: Carrier, connection: Connection, unfinished: Unfinished) -> None:
    """Carry out again, or say, what the worker before us has left.  Raises ``RingError``."""
    for debt, slot in unfinished.owed:
        if slot.kind == ENDED:
            left = unfinished.closings[debt]
            writer.debts.closes(debt, ClosingFile(*left))
            connection.resume(debt.lane, debt.tag, clunked(closed(left.file), debt.tag))
        elif slot.kind == REQUEST:
            _again(writer, carrier, connection, debt, slot)
        else:
            connection.lanes[slot.node].waiting.append(writer.debts.message(slot, debt))


def _again(
    writer: Writer, carrier: Carrier, connection: Connection, debt: Debt, slot: Slot
) -> None:
    """One request that was taken.  Raises ``RingError``."""
    frame, fids, lane, tag = slot.name[: slot.length], connection.session.fids, debt.lane, debt.tag
    if slot.flags & GONE:
        connection.say(lane, tag, OSError(errno.EBADF, "the fid was clunked meanwhile"))
        return
    request = decode(frame, int.from_bytes(frame[:4], "little"))
    if isinstance(request, Twrite):
        record, data = writer.debts.waiting_send(slot, debt)
        if record.sent is not None:
            connection.say(lane, tag, Rwrite(tag, record.sent))
            return
        carrier.send_again(record)
        connection.again(lane, frame, data)
    elif isinstance(request, Tlopen | Topen) and request.fid in fids and fids[request.fid].is_open:
        qid = connection.session.tree.getattr(fids[request.fid].node)[0]
        opened = Rlopen if isinstance(request, Tlopen) else Ropen
        connection.say(lane, tag, opened(tag, qid, iounit(connection.session)))
    else:
        connection.again(lane, frame)


def _halves(rings: Iterable[BoundRing]) -> list[ConsumerRing | ProducerRing]:
    return [half for ring in rings for half in (ring.requests, ring.replies)]


def _open_descriptors() -> frozenset[int]:
    lowest = os.dup(2)
    os.close(lowest)
    return open_around(lowest)


def _is_directory(fd: int) -> bool:
    return is_open(fd) and stat.S_ISDIR(os.fstat(fd).st_mode)
