"""``list``: what XenStore knows of devices, also where a guest wrote it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from backend.cli import main
from backend.platform import open_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from protocol.xenpv.ports import Store
    from tests.backend.supervisor.program import Supervisor

    Attach = Callable[..., None]

BACKEND = "/local/domain/0/backend/xen_9pfs"


@pytest.fixture
def store(hypervisor: EmbeddedHypervisor, platform: str) -> Iterator[Store]:
    """Dom0's XenStore, with the domains 5 and 10 in it."""
    for domid in (5, 10):
        hypervisor.create_domain(domid)
    with contextlib.closing(open_platform(platform).store()) as store:
        yield store


@pytest.fixture
def attach(platform: str, export: Path, capsys: pytest.CaptureFixture[str]) -> Attach:
    def run(domid: int, *options: str) -> None:
        path = [] if "--file" in options else ["--path", str(export)]
        assert main(["attach", str(domid), "--platform", platform, *path, *options]) == 0
        capsys.readouterr()

    return run


def listed(platform: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["list", "--platform", platform, "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_nothing_is_a_line_or_an_empty_list(
    hypervisor: EmbeddedHypervisor, platform: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--platform", platform]) == 0
    assert capsys.readouterr().out == "no devices\n"
    assert listed(platform, capsys) == []


def test_devices_that_no_supervisor_took(
    store: Store, platform: str, export: Path, attach: Attach, capsys: pytest.CaptureFixture[str]
) -> None:
    attach(10, "--wait", "0", "--tag", "files")
    attach(5, "--wait", "0", "--file", f"state={export}/hello")
    first = {
        "domain": "embedded-5",
        "domid": 5,
        "devid": 0,
        "tag": "share",
        "state": "initialising",
        "frontend": "initialising",
        "path": f"state = {export}/hello",
        "error": None,
    }
    second = {**first, "domain": "embedded-10", "domid": 10, "tag": "files", "path": str(export)}
    assert listed(platform, capsys) == [first, second]
    assert listed(platform, capsys, "embedded-10") == [second]
    assert listed(platform, capsys, "7") == []
    assert main(["list", "--platform", platform]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split() == ["domain", "domid", "devid", "tag", "state", "frontend", "path"]
    assert [" ".join(line.split()) for line in lines] == [
        f"embedded-5 5 0 share initialising initialising state = {export}/hello",
        f"embedded-10 10 0 files initialising initialising {export}",
    ]


def test_what_a_supervisor_made_of_them(
    supervisor: Supervisor,
    store: Store,
    platform: str,
    attach: Attach,
    capsys: pytest.CaptureFixture[str],
) -> None:
    attach(5, "--until", "offered")
    (device,) = listed(platform, capsys)
    assert (device["state"], device["frontend"]) == ("init_wait", "initialising")


def test_what_a_guest_or_a_dead_domain_left_is_shown_as_far_as_it_makes_sense(
    store: Store,
    hypervisor: EmbeddedHypervisor,
    platform: str,
    attach: Attach,
    capsys: pytest.CaptureFixture[str],
) -> None:
    attach(5, "--wait", "0")
    attach(10, "--wait", "0")
    hypervisor.destroy_domain(10)
    home = "/local/domain/5/device/9pfs/0"
    store.write(f"{home}/tag", b"\x1b]0;x\x07" + b"y" * 3000)
    store.write(f"{home}/state", b"4\n")
    store.write(f"{BACKEND}/5/0/error", b"no\nway")
    store.write(f"{BACKEND}/5/0/max-files", b"many")
    assert main(["list", "--platform", platform]) == 0
    _, living, dead, error = capsys.readouterr().out.splitlines()
    assert living.split()[:6] == ["embedded-5", "5", "0", "share", "initialising", "unknown"]
    assert dead.split()[:6] == ["-", "10", "0", "share", "initialising", "unknown"]
    assert error == "5/0: closed: no?way"
    store.rm(f"{BACKEND}/5/0/tag")
    assert main(["list", "--platform", platform, "5"]) == 0
    _, living, _ = capsys.readouterr().out.splitlines()
    assert living.split()[3] == "?]0;x?" + "y" * 58
