"""``detach``: which device is meant, and what is said where that is not clear."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from backend.cli import main
from backend.platform import open_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from protocol.xenpv.ports import Store

    Detach = Callable[..., int]

DEVICES = "/local/domain/0/backend/xen_9pfs/5"


@pytest.fixture
def store(
    hypervisor: EmbeddedHypervisor, platform: str, export: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Store]:
    """Dom0's XenStore; domain 5 has the devices 0 and 1, and no supervisor runs."""
    hypervisor.create_domain(5)
    for tag in ("logs", "state"):
        attach = ["attach", "5", "--platform", platform, "--path", str(export), "--wait", "0"]
        assert main([*attach, "--tag", tag]) == 0
    capsys.readouterr()
    with contextlib.closing(open_platform(platform).store()) as store:
        yield store


@pytest.fixture
def detach(platform: str) -> Detach:
    def run(domain: str, *options: str) -> int:
        return main(["detach", domain, "--platform", platform, "--wait", "0", "--force", *options])

    return run


def test_by_tag_by_number_and_the_only_one(store: Store, detach: Detach) -> None:
    assert detach("embedded-5", "--tag", "state") == 0
    assert store.list(DEVICES) == ["0"]
    assert detach("5") == 0
    with pytest.raises(FileNotFoundError):
        store.list(DEVICES)


def test_a_guest_that_renames_its_devices_confuses_nobody(store: Store, detach: Detach) -> None:
    for number, tag in enumerate((b"state", b"logs")):
        store.write(f"/local/domain/5/device/9pfs/{number}/tag", tag)
    assert detach("5", "--tag", "state") == 0
    assert store.list(DEVICES) == ["0"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["5"], 'several, choose one with --devid: 0 (tag "logs"), 1 (tag "state")'),
        (["5", "--tag", "stat"], 'no device with the tag "stat", but 0 (tag "logs"), 1 (tag'),
        (["5", "--devid", "7"], f"{DEVICES}/7: no such device"),
        (["6"], "domain 6 has no device of ours"),
        (["embedded"], 'no domain is called "embedded"; did you mean embedded-5?'),
    ],
)
def test_what_is_not_there_is_told_beside_what_is(
    store: Store,
    detach: Detach,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert detach(*options) == 1
    assert message in capsys.readouterr().err
    assert store.list(DEVICES) == ["0", "1"]


def test_of_another_toolstacks_devices_the_guests_tag_counts(
    store: Store, detach: Detach, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        store.rm(f"{DEVICES}/{number}/tag")
        store.write(f"/local/domain/5/device/9pfs/{number}/tag", b"same\x1b[2J")
    assert detach("5", "--tag", "same\x1b[2J") == 1
    err = capsys.readouterr().err
    assert 'choose one with --devid: 0 (tag "same?[2J"), 1 (tag "same?[2J")' in err
    assert detach("5", "--devid", "1") == 0
    assert detach("5", "--tag", "same\x1b[2J") == 0


def test_devices_of_a_domain_that_is_no_more_can_be_removed(
    store: Store, hypervisor: EmbeddedHypervisor, detach: Detach
) -> None:
    hypervisor.destroy_domain(5)
    assert store.list(DEVICES) == ["0", "1"]
    assert detach("5", "--tag", "logs") == 0
    assert detach("5", "--devid", "1") == 0


def test_tag_and_number_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["detach", "5", "--tag", "logs", "--devid", "0"])
    assert "not allowed with argument" in capsys.readouterr().err
