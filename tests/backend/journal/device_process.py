"""A device's process whose workers end where a test says: device_process.py PLATFORM SHARE PLACE
REF:PORT[,...] WALLS CONTROL SWITCH [PREDECESSOR].

SHARE is the nodes that describe it, as JSON.
SWITCH is a memory file of four numbers: how many steps were taken, the one to end at (0: none),
whether to end whenever a request has begun that must not be done twice, and a seed of how many
steps each worker lives after that one (0: until it is told otherwise).
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent.parent))

from backend.confinement.walls import WALLS
from backend.share import read_share
from backend.worker.settings import WorkerSettings
from backend.worker.start import main
from protocol.xenpv.device import RingOffer
from protocol.xenpv.ids import Devid, Domid, Evtchn, Gref

platform, shown, place, offers, walls, control, switch, *predecessor = sys.argv[1:]
nodes = json.loads(shown)
words = memoryview(mmap.mmap(int(switch), 4096)).cast("Q")


def next_life() -> int:
    """Steps that the next worker is to live: enough for one commit at least."""
    words[3] = words[3] * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
    return 6 + (words[3] >> 33) % 12


def point(name: str) -> None:
    """End here, if this is the step: at once, as by SIGKILL, which no worker may send."""
    words[0] += 1
    if words[2] and name == "begun":
        os._exit(9)
    if words[0] == words[1]:
        words[1] = words[0] + next_life() if words[3] else 0
        os._exit(9)


main(
    WorkerSettings(
        platform=platform,
        domid=Domid(5),
        devid=Devid(0),
        share=read_share(
            lambda name: None if (value := nodes.get(name)) is None else os.fsencode(value)
        ),
        allowed_exports=(),
        quota_dir=place,
        workers_dir=place,
        rings=tuple(
            RingOffer(Gref(ref), Evtchn(port))
            for ref, port in (map(int, offer.split(":")) for offer in offers.split(","))
        ),
        max_order=9,
        max_msize=1 << 20,
        max_fids=1000,
        max_open_files=100,
        walls=WALLS if walls == "all" else (),
        required_walls=(),
        recovery=True,
        log_level="info",
        trace=None,
    ),
    socket.socket(fileno=int(control)),
    point,
    socket.socket(fileno=int(predecessor[0])) if predecessor else None,
)
