"""A worker that takes a device over from another process, which serves it until the last moment.

It puts its walls up from what the supervisor says and from what it opens itself, by the paths of
the share.  Only then, behind them, does it look at what the other process hands over: that one has
shared its descriptors with workers that faced a guest, so they may lead to anything that such a
worker can reach, and to nothing else.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from backend.channel.listening import listens_at, unbound
from backend.channel.tree import ChannelTree
from backend.confinement.descriptors import open_around
from backend.confinement.namespaces import held_directories
from backend.confinement.plan import plan_for
from backend.confinement.sandbox import Sandbox
from backend.fileserver.limits import Limits, Slots
from backend.fileserver.policies.layers import layer
from backend.fileserver.policies.named_files import NamedFilesTree
from backend.fileserver.root import file_key
from backend.fileserver.session import Session
from backend.journal.journal import Journal
from backend.platform import open_platform
from backend.trace import TraceWriter
from backend.worker.control import ControlError, Prepared, Serving
from backend.worker.device import Device
from backend.worker.handover import HandoverError, Taking
from backend.worker.lives import Lives
from backend.worker.sessions import open_session
from protocol.xenpv.ports import OpenChannels

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

    from backend.fileserver.tree import Tree
    from backend.journal.carrying import Point
    from backend.share import NamedChannel
    from backend.worker.handover import Handed
    from backend.worker.settings import WorkerSettings
    from backend.worker.supervision import Supervision
    from protocol.xenpv.ports import EventChannels


class Successor:
    """What the lives of a process begin with that has not started its device itself."""

    def __init__(
        self, taking: Taking, journal: Journal, numbers: dict[int, int], kept: frozenset[int]
    ) -> None:
        """``numbers`` are our descriptors by the other process's numbers; ``kept`` all of ours that
        are no fid's.
        """
        self.journal: Final = journal
        self.numbers: Final = numbers
        self.kept: Final = kept
        self.ours: Final = taking.ours
        self._taking = taking

    def take_over(self, device: Device) -> None:
        """Have the device, now that all is as the other process has left it: as soon as we are on
        record, so that whatever becomes of the supervisor, the next one finds who serves.

        Raises ``HandoverError``.
        """
        if self.journal.committed and device.session.dialect is not None:
            promised, most = self.journal.last_commit().msize, device.session.max_msize
            if promised > most:
                raise HandoverError(
                    f"the guest was promised messages of {promised} bytes, and max-msize is {most}"
                )
        try:
            device.supervision.await_record()
        except (EOFError, ControlError):
            raise HandoverError("the supervisor is gone, or wants no other worker") from None
        self._taking.claim()
        device.supervision.send(Serving())


def succeed(
    settings: WorkerSettings, supervision: Supervision, end: socket.socket, point: Point
) -> str | None:
    """Take the device over by the socket ``end``, and serve it as ``start`` does.

    Raises ``HandoverError``, and what starting a worker raises.
    """
    supervision.listen(settings.workers_dir, settings.domid, settings.devid)
    platform = open_platform(settings.platform)
    mapper, adopt = platform.grant_mapper(), platform.event_channel_adopter()
    sandbox = Sandbox(plan_for(settings.share, settings.walls), settings.required_walls)
    sandbox.enter()
    opened = open_session(
        settings.share,
        settings.allowed_exports,
        quota_dir=settings.quota_dir,
        max_fids=settings.max_fids,
        max_open_files=settings.max_open_files,
        max_msize=settings.max_msize,
        listeners=unbound(settings.share.channels),
    )
    directories = held_directories(of_proc=False)
    trace = settings.trace and TraceWriter.open(settings.trace, settings.domid, settings.devid)
    sandbox.shut_around()
    taking = Taking(end)
    supervision.send(Prepared())
    handed = taking.receive()
    offer, numbers = handed.offer, handed.numbers
    journal = _journal(handed)
    received = set(numbers.values())
    _replace(directories, offer.directories, numbers)
    _take_root(opened.tree, offer.root, numbers)
    _take_listeners(opened.tree, settings.share.channels, offer.listeners, numbers)
    try:
        channels = tuple(numbers[fd] for fd in offer.channels.descriptors)
        events: EventChannels = adopt(OpenChannels(channels, offer.channels.ports))
    except (LookupError, ValueError) as error:
        raise HandoverError("its event channels did not come with it") from error
    for fd in received - set(numbers.values()):
        os.close(fd)  # we have it under another number
    rings = tuple(ring.bound(mapper, settings.domid) for ring in offer.rings)
    limits = Limits(
        # No more than the journal has room for.
        fids=Slots("fids", min(settings.max_fids, offer.fids)),
        open_files=opened.limits.open_files,
    )
    max_msize = min(settings.max_msize, *(ring.requests.size for ring in rings))
    session = Session(opened.tree, limits, max_msize, opened.readiness)
    device = Device(settings, session, sandbox, mapper, events, rings, supervision, trace or None)
    kept = open_around(max(received)) - (received - {*channels})
    return Lives(device, point, Successor(taking, journal, numbers, kept)).run()


def _journal(handed: Handed) -> Journal:
    try:
        return Journal(handed.offer.lanes, handed.offer.fids, handed.journal)
    except OSError as error:
        raise HandoverError(f"its journal cannot be used: {error.strerror}") from None
    finally:
        os.close(handed.journal)


def _replace(own: Iterable[int], theirs: Iterable[int], numbers: dict[int, int]) -> None:
    """Use the other process's descriptor of each directory that is shared, under our own number.

    It is the same directory through the mount in which all other descriptors lie: nothing can be
    renamed or linked from one mount to another.  Raises ``HandoverError`` where it is not the same.
    """
    known = {file_key(numbers[fd]): fd for fd in theirs if fd in numbers}
    for fd in own:
        old = known.get(file_key(fd))
        if old is None:
            raise HandoverError("the path of its share leads to another directory by now")
        os.dup2(numbers[old], fd, inheritable=False)
        numbers[old] = fd


def _take_root(tree: Tree, theirs: int, numbers: dict[int, int]) -> None:
    """Of named files the root is no directory, and known to the client by a number of its own."""
    named = layer(tree, NamedFilesTree)
    if named is None:
        return
    if theirs not in numbers:
        raise HandoverError("its root did not come with it")
    named.take_root(numbers[theirs])
    numbers[theirs] = named.root.fd


def _take_listeners(
    tree: Tree, named: Sequence[NamedChannel], theirs: Sequence[int], numbers: dict[int, int]
) -> None:
    """Listen where the other process does, by its sockets: nobody in Dom0 sees another.

    Raises ``HandoverError`` where one is not what it is said to be.
    """
    if len(named) != len(theirs):
        raise HandoverError(f"it has {len(theirs)} channels, and its share has {len(named)}")
    own = layer(tree, ChannelTree)
    for channel, there, fd in zip([] if own is None else own.channels, named, theirs, strict=True):
        if fd not in numbers or not listens_at(numbers[fd], there.socket):
            raise HandoverError(
                f"of channel {there.name} no socket came that listens at {there.socket}"
            )
        channel.take_listener(numbers[fd])
        numbers[fd] = channel.listener
