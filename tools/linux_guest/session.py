"""Runs the workloads: mounts, runs, compares, unmounts, and keeps what came of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from tools.linux_guest.guest import manifest
from tools.linux_guest.workloads import kept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tools.linux_guest.machine import Machine
    from tools.linux_guest.mounts import By, Mount
    from tools.linux_guest.workloads import Workload

_SKIPPED: Final = (3, 4)
"""stress-ng's exit statuses for what the file system cannot do: no resources, not implemented."""


class Verdict(Enum):
    """What a workload came to."""

    OK = "ok"
    FAILED = "FAILED"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Result:
    """One workload on one mount."""

    workload: str
    mount: Mount
    verdict: Verdict
    seconds: float
    output: str


@dataclass(frozen=True)
class Place:
    """A directory of Dom0, and what the guest mounts it by: first, and a second time."""

    directory: Path
    where: tuple[str, str]


class Session:
    """A running guest, and the directories that it mounts."""

    def __init__(
        self,
        machine: Machine,
        places: Mapping[By, Place],
        report: Callable[[Result], None],
    ) -> None:
        self._machine: Final = machine
        self._places: Final = places
        self._report: Final = report

    def run(self, mount: Mount, workloads: Sequence[Workload]) -> None:
        """Mount twice, run the workloads, unmount; each result is reported as it comes."""
        place = self._places[mount.by]
        wanted = [workload for workload in workloads if workload.runs_on(mount)]
        for workload in wanted:
            directory = place.directory / mount.name / workload.name
            directory.mkdir(parents=True)
            if workload.prepare:
                workload.prepare(directory)
        points = ("/mnt/first", "/mnt/second")
        commands = [
            f"mkdir -p {point} && {mount.command(where, point)}"
            for where, point in zip(place.where, points, strict=True)
        ]
        mounted = self._machine.run(" && ".join(commands))
        if mounted.status:
            self._report(Result("mount", mount, Verdict.FAILED, mounted.seconds, mounted.output))
            return
        for workload in wanted:
            self._report(self._run(mount, place, workload))
        unmounted = self._machine.run(f"umount {points[1]} && umount {points[0]}")
        if unmounted.status:
            said = unmounted.output
            self._report(Result("umount", mount, Verdict.FAILED, unmounted.seconds, said))

    def _run(self, mount: Mount, place: Place, workload: Workload) -> Result:
        here = f"{mount.name}/{workload.name}"
        variables = {
            "DIALECT": mount.dialect,
            "CACHE": mount.cache,
            "OTHER": f"/mnt/second/{here}",
            "MOUNTPOINT": "/mnt/first",
            "MOUNT": mount.command(place.where[0], "/mnt/first"),
            **kept(place.directory / here),
        }
        exports = "".join(f"export {name}='{value}'\n" for name, value in variables.items())
        script = f"{exports}cd /mnt/first/{here} && exec {workload.command}\n"
        job = self._machine.run(script, workload.seconds)
        verdict, output = Verdict.OK, job.output
        if job.status in _SKIPPED and workload.name.startswith("stress-"):
            verdict = Verdict.SKIPPED
        elif job.status:
            verdict, output = Verdict.FAILED, f"{output}exit status {job.status}\n"
        elif workload.compared:
            differences = self._differences(mount, f"/mnt/first/{here}", place.directory / here)
            if differences:
                verdict, output = Verdict.FAILED, f"{output}{differences}"
        return Result(workload.name, mount, verdict, job.seconds, output)

    def _differences(self, mount: Mount, theirs: str, ours: Path) -> str:
        """What the guest sees that Dom0 does not, or the other way round."""
        dotl, caching = mount.dialect == "9p2000.L", mount.cache != "none"
        # A caching client keeps its own idea of times and links; .u has seconds and no link count.
        times = "no" if caching else "ns" if dotl else "s"
        links = dotl and not caching
        command = f"python3 /guest/manifest.py --times {times} {'' if links else '--no-links'}"
        job = self._machine.run(f"sync; {command} {theirs}", 120)
        if job.status:
            return f"the tree cannot be read: {job.output}"
        seen = job.output.splitlines()
        there = manifest.lines(os.fsencode(ours), times=times, links=links)
        lines = [f"only the guest sees {line}" for line in seen if line not in there]
        lines += [f"only Dom0 sees {line}" for line in there if line not in seen]
        return "\n".join(lines)
