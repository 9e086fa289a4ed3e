"""``attach --state``: to whom, and what of the configuration is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.cli import main
from tests.backend.stubdom.libxl import say_stub_domain

if TYPE_CHECKING:
    from pathlib import Path

    from backend.platform.embedded.hypervisor import EmbeddedHypervisor
    from protocol.xenpv.ports import Store

BACKEND = "/local/domain/0/backend/xen_9pfs"


@pytest.fixture(autouse=True)
def guest(hypervisor: EmbeddedHypervisor) -> None:
    """Domain 4, beside the domain 5 that is to be its stub domain."""
    hypervisor.create_domain(4)


@pytest.fixture
def config(place: Path) -> Path:
    """One that has states in a directory of the test's."""
    path = place / "config.toml"
    path.write_text(
        f'run-dir = "{place}/run"\n[stubdom]\nsave = "{place}/save.{{target}}"\n'
        f'restore = "{place}/resume.{{target}}"\n'
    )
    return path


def attach_state(named: str, platform: str, config: Path, *options: str) -> int:
    where = ["--platform", platform, "--config", str(config), "--wait", "0"]
    return main(["attach", named, "--state", *where, *options])


@pytest.mark.parametrize("named", ["5", "4"])
def test_for_a_stub_domain_or_the_one_that_has_it(
    store: Store, platform: str, config: Path, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    assert attach_state(named, platform, config) == 1
    assert f"domain {named} is no stub domain, and has none" in capsys.readouterr().err
    say_stub_domain(store, 4, 5)
    assert attach_state(named, platform, config) == 0
    assert capsys.readouterr().out == "5/0\n"
    for node, value in {
        "tag": "state",
        "commit": "atomic",
        "files/0/path": f"{config.parent}/save.4",
        "channels/0/socket": f"{config.parent}/run/4/qmp",
    }.items():
        assert store.read(f"{BACKEND}/5/0/{node}") == value.encode()
    assert attach_state(named, platform, config) == 1
    assert 'domain 5 has a device with the tag "state" already' in capsys.readouterr().err
    assert attach_state(named, platform, config, "--tag", "other") == 0
    assert store.read(f"{BACKEND}/5/1/tag") == b"other"


@pytest.mark.parametrize(
    "option", ["--path=/srv", "--file=a=/b", "--channel=c", "--read-only", "--max-files=3"]
)
def test_options_that_describe_another_share_are_refused(
    store: Store, platform: str, config: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    say_stub_domain(store, 4, 5)
    assert attach_state("5", platform, config, option) == 1
    name = option.partition("=")[0]
    assert f"--state describes the whole share: leave out {name}" in capsys.readouterr().err


def test_a_share_that_cannot_be_is_named(
    store: Store, platform: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say_stub_domain(store, 4, 5)
    config.write_text(config.read_text() + 'channels = ["qmp"]\n')
    assert attach_state("5", platform, config) == 1
    assert "[stubdom]: two of the files and channels have" in capsys.readouterr().err
