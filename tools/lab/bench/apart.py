"""In Dom0: Xen's own daemon, and then our backend: both serve all devices of their kind.

Each has two guests: one that mounts its share, and one that asks for the same by requests of its
own, because Linux's mount is more than the daemon survives.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.lab.guests import Guest
from tests.lab.service import Service
from tools.lab.bench.costs import cost
from tools.lab.bench.jobs import JOBS
from tools.lab.bench.memory import StateTimes
from tools.lab.bench.peers import Daemon, Ours
from tools.lab.bench.profile import Profile
from tools.lab.bench.results import PROFILE
from tools.lab.bench.turns import GUEST, Bench, JobError, prepare

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from tools.lab.bench.peers import HotPlugged
    from tools.lab.bench.results import Comparison, Cost, Results, Turn

_LOAD: Final = "for module in /guest/later/*.ko; do insmod $module; done"
"""Linux's driver, which would take the device from a client in user space."""
_REQUESTS: Final = "cd /lab/source && exec python3 -m tools.lab.bench.requests {domid} {tag}"
_MOUNT_SECONDS: Final = 60
DIED: Final = "died"
FAILED: Final = "failed"


class Measured(NamedTuple):
    """What one way of using one backend came to."""

    turns: list[Turn]
    lost: dict[str, str]
    notes: list[str]


def measure(args: Namespace) -> Results:
    """The whole comparison: theirs, then ours; the profile is written down."""
    names = args.only or list(JOBS)
    prepare((Daemon.name, Ours.name))
    costs: dict[str, Cost] = {}
    profiles: list[str] = []
    mounted: list[Measured] = []
    asked: list[Measured] = []

    def both(start: Callable[[], AbstractContextManager[HotPlugged]]) -> None:
        with start() as peer:
            costs[peer.name], found = _by_mount(peer, names, args)
            mounted.append(found)
        # What has died is started again.
        with start() as peer:
            asked.append(_by_requests(peer, names, args, profiles))

    both(Daemon)
    both(_ours)
    if args.profile:
        PROFILE.write_text("\n\n".join(profiles))
    return {
        "comparisons": [
            _comparison(f"Linux's mount, {args.options}", mounted),
            _comparison("requests of 9P2000.u from the guest's user space", asked),
        ],
        "costs": costs,
    }


@contextlib.contextmanager
def _ours() -> Iterator[Ours]:
    with Service() as service:
        yield Ours(service)


def _by_mount(peer: HotPlugged, names: Sequence[str], args: Namespace) -> tuple[Cost, Measured]:
    """In a guest that mounts the share, if it can."""
    with StateTimes(peer.backend_class) as watch:
        guest = Guest(GUEST, peer.configuration())
        guest.check(_LOAD)
    print(f"the guest is up, with a share of {peer.title}", flush=True)
    with guest:
        taken = cost(guest, peer, [watch])
        mount = guest.run(peer.mounting(args.options), _MOUNT_SECONDS)
        if mount.status:
            why, note = _verdict(peer, "the mount", mount.output)
            return taken, Measured([], dict.fromkeys(names, why), [note])
        return taken, _turns(Bench(guest, [peer]), peer, names, args.turns)


def _by_requests(
    peer: HotPlugged, names: Sequence[str], args: Namespace, profiles: list[str]
) -> Measured:
    """In a guest without Linux's driver."""
    with Guest(GUEST, peer.configuration()) as guest:
        command = _REQUESTS.format(domid=guest.domid, tag=peer.name)
        bench = Bench(guest, [peer], command)
        print(f"the guest's client is connected to {peer.title}", flush=True)
        found = _turns(bench, peer, names, args.turns)
        if args.profile and not found.lost.keys() & set(args.profile):
            profiles.append(Profile(bench, guest, [peer]).text(args.profile))
        return found


def _turns(bench: Bench, peer: HotPlugged, names: Sequence[str], count: int) -> Measured:
    """All turns, but for jobs that fail; and none after the backend's end."""
    found = Measured([], {}, [])
    for number in range(count):
        for name in names:
            if name in found.lost:
                continue
            try:
                found.turns.append(bench.do(name, peer, number))
            except JobError as error:
                why, note = _verdict(peer, name, str(error))
                found.notes.append(note)
                found.lost[name] = why
                if why == DIED:
                    found.lost.update(dict.fromkeys(names, DIED))
                    return found
    return found


def _verdict(peer: HotPlugged, what: str, said: str) -> tuple[str, str]:
    """What the table says of something that failed, and a line below it; nothing of ours may."""
    ended = peer.ended_by()
    if ended:
        return DIED, f"{what}: {peer.title} was ended by {ended}"
    assert isinstance(peer, Daemon), said
    return FAILED, f"{what}: {peer.title}: {said.strip()}"


def _comparison(title: str, measured: Sequence[Measured]) -> Comparison:
    return {
        "title": title,
        "turns": [turn for found in measured for turn in found.turns],
        "lost": {job: why for found in measured for job, why in found.lost.items()},
        "notes": [note for found in measured for note in found.notes],
    }
