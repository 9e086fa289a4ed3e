"""What is in the share of a stub domain."""

from __future__ import annotations

import pytest

from backend import config
from backend.config import ConfigError, Stubdom
from backend.share import Commit, Direction, NamedChannel, NamedFile
from backend.stubdom.state_share import state_share


def test_two_files_and_a_monitor() -> None:
    share = state_share(Stubdom(), "/run/xf", 7)
    assert share.files == (
        NamedFile("save", "/var/lib/xen/qemu-save.7", writable=True),
        NamedFile("restore", "/var/lib/xen/qemu-resume.7", writable=False),
    )
    assert share.channels == (NamedChannel("qmp", "/run/xf/7/qmp"),)
    assert (share.path, share.commit) == ("", Commit.ATOMIC)


def test_what_is_configured_besides() -> None:
    stubdom = Stubdom(
        save="/states/{target}/now",
        restore="/states/{target}/then",
        channels=("serial0", "vnc=/run/vnc/{target}.sock"),
        channels_to_guest=("keys",),
        channels_from_guest=("log",),
    )
    share = state_share(stubdom, "/run/xf", 7)
    assert [file.path for file in share.files] == ["/states/7/now", "/states/7/then"]
    assert share.channels == (
        NamedChannel("qmp", "/run/xf/7/qmp"),
        NamedChannel("serial0", "/run/xf/7/serial0"),
        NamedChannel("vnc", "/run/vnc/7.sock"),
        NamedChannel("keys", "/run/xf/7/keys", Direction.TO_GUEST),
        NamedChannel("log", "/run/xf/7/log", Direction.FROM_GUEST),
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("save", "/var/lib/state", 'stubdom.save is "/var/lib/state"; it must be an absolute path'),
        ("restore", "{target}", 'stubdom.restore is "{target}"; it must be an absolute path'),
        ("restore", "/{target}{0}", "it must be an absolute path with {target} in it"),
        ("save", 7, "stubdom.save is 7"),
        ("channels", ["a=/run/socket"], 'it must be a list of "NAME" or "NAME=SOCKET"'),
        ("channels", ["a/b"], "stubdom.channels is"),
        ("channels", [""], "stubdom.channels is"),
        ("channels", [7], "stubdom.channels is"),
        ("channels-to-guest", "a", 'stubdom.channels-to-guest is "a"'),
        ("channels", ["qmp"], "[stubdom]: two of the files and channels have the same name"),
        ("channels-from-guest", ["save"], "[stubdom]: two of the files and channels"),
        ("channels", [f"{number}" for number in range(16)], "[stubdom]: 17 channels; 16 are"),
    ],
)
def test_a_mistake_is_found_before_a_stub_domain_comes(
    key: str, value: object, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        config.from_mapping({"stubdom": {"auto": True, key: value}})
    assert message in str(caught.value)
