"""In Dom0: our backend and QEMU's, whose shares one guest has at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.guests import Guest
from tests.lab.service import Service
from tools.lab.bench.costs import cost
from tools.lab.bench.jobs import JOBS
from tools.lab.bench.memory import StateTimes
from tools.lab.bench.peers import Ours, Qemu
from tools.lab.bench.profile import Profile
from tools.lab.bench.results import PROFILE
from tools.lab.bench.turns import GUEST, Bench, prepare

if TYPE_CHECKING:
    from argparse import Namespace

    from tools.lab.bench.results import Results, Turn


def measure(args: Namespace) -> Results:
    """The whole comparison; the profile, which takes a while, is written down."""
    with Service() as service:
        ours, theirs = Ours(service), Qemu()
        prepare((ours.name, theirs.name))
        with StateTimes(theirs.backend_class) as their_watch:
            guest = Guest(GUEST, theirs.configuration())
        print("the guest is up, with their share", flush=True)
        with guest:
            with StateTimes(ours.backend_class) as our_watch:
                ours.attach(guest, ours.name)
            costs = {
                ours.name: cost(guest, ours, [our_watch]),
                theirs.name: cost(guest, theirs, [their_watch]),
            }
            for peer in (ours, theirs):
                guest.check(peer.mounting(args.options))
            print("both shares are mounted", flush=True)
            bench = Bench(guest, [ours, theirs])
            turns: list[Turn] = []
            for number in range(args.turns):
                turns += bench.turn(number, args.only or list(JOBS))
            if args.profile:
                PROFILE.write_text(Profile(bench, guest, [ours, theirs]).text(args.profile))
    mounted = f"Linux's mount, {args.options}"
    return {
        "comparisons": [{"title": mounted, "turns": turns, "lost": {}, "notes": []}],
        "costs": costs,
    }
