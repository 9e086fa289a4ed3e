"""Forks processes that put up the walls a worker gets, and lets them do what a request says.

A program of its own, with one thread, as the fork server is.  One request a line on standard input,
one answer a line on standard output, both JSON.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from backend.confinement import libc
from backend.confinement.plan import plan_for
from backend.confinement.sandbox import Sandbox
from backend.confinement.walls import Refused
from backend.share import Share, read_share
from backend.worker.sessions import open_tree
from backend.worker.start import prepare_process
from tests.backend.confinement.attacks import ATTACKS, Ground
from tests.backend.confinement.service import Service

SUPERVISOR_GROUP = 6
MS_REC = 0x4000


def share_of(nodes: dict[str, str]) -> Share:
    return read_share(lambda node: nodes[node].encode() if node in nodes else None)


def share_mounts_with_nobody() -> None:
    """Have mounts of one's own, which those who copy them share: as systemd has it in Dom0."""
    clone_newns, ms_private, ms_shared = 0x0002_0000, 1 << 18, 1 << 20
    libc.unshare(clone_newns)
    libc.mount("none", "/", "", MS_REC | ms_private)
    libc.mount("none", "/", "", MS_REC | ms_shared)


def stay_in(root: str) -> None:
    """Have a root that one cannot leave by pivot_root(2), as an initramfs is.

    That one has no parent, this one a parent whose mounts are shared: EINVAL in either case.
    """
    ms_bind = 0x1000
    share_mounts_with_nobody()
    libc.mount("none", root, "tmpfs", 0)
    for name in ("proc", "export", "tmp"):
        Path(root, name).mkdir()
    libc.mount("/proc", f"{root}/proc", "", ms_bind | MS_REC)
    os.chroot(root)
    os.chdir("/")


def prisoner(request: dict[str, Any], report: int) -> NoReturn:
    """As a worker begins; then the attack, and an answer if it comes to that."""
    # What it leaves in the file system and what it starts is the test's to look at.
    prepare_process([report])
    if request["uid"] is not None:
        os.setgroups([])
        os.setresuid(*[request["uid"]] * 3)
    if request["root"] is not None:
        stay_in(request["root"])
    share = share_of(request["share"])
    sandbox = Sandbox(plan_for(share, tuple(request["walls"])), request["required"])
    answer: dict[str, Any] = {}
    try:
        sandbox.enter()
        tree = open_tree(share, (), "")
        service = Service(tree, request["known"]["trace"])
        answer["walls"] = sandbox.shut()
        ground = Ground(
            tree, service, {"parent": os.getppid(), "report": report, **request["known"]}
        )
        answer["value"] = ATTACKS[request["attack"]](ground)
        answer["end"] = "done"
    except Refused as refused:
        answer["end"] = f"refused: {refused}"
    except OSError as error:
        answer["end"] = f"failed: {error.strerror}"
    except BaseException as error:  # noqa: BLE001 -- the test says what it makes of it
        traceback.print_exc()
        answer["end"] = f"{type(error).__name__}: {error}"
    os.write(report, json.dumps(answer).encode())
    os._exit(0)


def serve(request: dict[str, Any]) -> dict[str, Any]:
    mounted = request["known"]["below"] if request["attack"] == "follow_dom0" else None
    if mounted:
        libc.mount("none", mounted, "tmpfs", 0)
        Path(mounted, "inside").touch()
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        prisoner(request, theirs)
    os.close(theirs)
    if mounted:
        os.read(ours, 1)
        libc.unmount_lazily(mounted)
    # Until the end: a program that it has become says nothing, but exits well.
    told = b""
    while part := os.read(ours, 1 << 16):
        told += part
    os.close(ours)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return {"end": f"killed: {signal.Signals(os.WTERMSIG(status)).name}"}
    if told:
        answer: dict[str, Any] = json.loads(told)
        return answer
    return {"end": "done" if status == 0 else f"failed: exit status {status >> 8}"}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if os.geteuid() == 0:
        os.setgroups([SUPERVISOR_GROUP])  # as a shell's root has, and an inmate must not
        # What an inmate mounts when there is no wall stays among inmates.
        share_mounts_with_nobody()
    # What a fork server might have open, and must not reach an inmate.
    os.open("/", os.O_PATH)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
