"""A share's description: the same as XenStore nodes and back, and clear words about mistakes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.share import (
    MAX_CHANNELS,
    MAX_NAMED_FILES,
    Commit,
    Direction,
    NamedChannel,
    NamedFile,
    SecurityModel,
    Share,
    ShareError,
    read_share,
    share_nodes,
)

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60
).filter(lambda name: name not in (".", ".."))
PATHS = NAMES.map(lambda name: "/" + name)
LIMITS = st.none() | st.integers(1, 1 << 40)
QMP = {"num-channels": b"1", "channels/0/name": b"qmp", "channels/0/socket": b"/q"}
FILES = st.lists(st.builds(NamedFile, NAMES, PATHS, writable=st.booleans()), max_size=5)


@given(st.data())
def test_nodes_describe_a_share_completely(data: st.DataObject) -> None:
    files = data.draw(FILES.filter(lambda files: len({file.name for file in files}) == len(files)))
    share = Share(
        path="" if files else data.draw(PATHS),
        files=tuple(files),
        security_model=SecurityModel.NONE if files else data.draw(st.sampled_from(SecurityModel)),
        max_space=None if files else data.draw(LIMITS),
        max_files=None if files else data.draw(LIMITS),
        max_open_files=data.draw(LIMITS),
        auto_delete=not files and data.draw(st.booleans()),
        read_only=data.draw(st.booleans()),
        commit=data.draw(st.sampled_from(Commit)),
        fsync_on_close=data.draw(st.booleans()),
    )
    assert read_share(share_nodes(share).get) == share


def test_what_libxl_writes_is_a_share() -> None:
    nodes = {
        "path": b"/srv/x",
        "security_model": b"none",
        "max-space": b"0",
        "max-files": b"12",
        "max-open-files": b"0",
        "auto-delete": b"0",
    }
    assert read_share(nodes.get) == Share("/srv/x", max_files=12)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({}, "path is missing"),
        ({"path": b"srv"}, 'export path "srv": it must be absolute'),
        ({"path": b"/a\0b"}, "it must be absolute"),
        ({"path": b"/" + b"x" * 4096}, "path has 4097 bytes; 4096 are the most"),
        ({"path": b"/a", "security_model": b"mapped-file"}, "it must be one of: none, mapped-x"),
        ({"path": b"/a", "max-space": b"-1"}, 'max-space is "-1"; it must be a number'),
        ({"path": b"/a", "max-files": b"1e3"}, 'max-files is "1e3"; it must be a number'),
        ({"path": b"/a", "max-files": b"9" * 14}, "it must be a number"),
        ({"path": b"/a", "auto-delete": b"yes"}, 'auto-delete is "yes"; it must be 0 or 1'),
        ({"path": b"/a", "commit": b"soon"}, 'commit is "soon"; it must be one of: none, atomic'),
        ({"path": b"/a", "num-files": b"1", "files/0/name": b"n"}, "files/0 has no name or no"),
        (
            {"path": b"/a", "num-files": b"1", "files/0/name": b"n", "files/0/path": b"/p"},
            "both path and num-files",
        ),
        (
            {
                "num-files": b"1",
                "files/0/name": b"n",
                "files/0/path": b"/p",
                "security_model": b"mapped-xattr",
            },
            "security_model must be none for named files",
        ),
        *(
            (
                {"num-files": b"1", "files/0/name": b"n", "files/0/path": b"/p", rule: b"1"},
                "are rules for what lies in a directory; leave them out for named files",
            )
            for rule in ("max-space", "max-files", "auto-delete")
        ),
        ({"num-files": b"1", "files/0/name": b"..", "files/0/path": b"/p"}, '".." is no name'),
        ({"num-files": b"1", "files/0/name": b"a/b", "files/0/path": b"/p"}, "is no name"),
        ({"num-files": b"1", "files/0/name": b"n" * 256, "files/0/path": b"/p"}, "too long"),
        ({"num-files": b"1", "files/0/name": b"n", "files/0/path": b"p"}, "must be absolute"),
        ({"num-files": b"1", "files/0/name": b"n", "files/0/path": b"/p/"}, "must name a file"),
        ({"num-files": b"1", "files/0/name": b"n", "files/0/path": b"/p/.."}, "must name a file"),
        ({"num-channels": b"1"}, "channels/0 has no name or no socket; num-channels promises both"),
        *(
            (
                {
                    "num-channels": b"1",
                    "channels/0/name": b"qmp",
                    "channels/0/socket": b"/q",
                    **more,
                },
                message,
            )
            for more, message in (
                ({"channels/0/name": b"a/b"}, "is no name"),
                ({"channels/0/socket": b"q"}, 'socket "q" of "qmp": it must be an absolute path'),
                ({"channels/0/socket": b"/q/.."}, "it must be an absolute path"),
                ({"channels/0/socket": b"/" + b"q" * 107}, "is too long: 107 bytes at most"),
                ({"channels/0/direction": b"up"}, "one of: both, to-guest, from-guest"),
                ({"security_model": b"mapped-xattr"}, "security_model must be none"),
                ({"max-files": b"1"}, "are rules for what lies in a directory"),
            )
        ),
    ],
)
def test_a_wrong_node_is_named(nodes: dict[str, bytes], message: str) -> None:
    with pytest.raises(ShareError, match=re.escape(message)):
        read_share(nodes.get)


def test_names_must_differ_and_be_few() -> None:
    with pytest.raises(ShareError, match="the same name"):
        Share(files=(NamedFile("a", "/a", writable=True), NamedFile("a", "/b", writable=True)))
    many = tuple(NamedFile(str(n), "/a", writable=True) for n in range(MAX_NAMED_FILES + 1))
    with pytest.raises(ShareError, match="64 are the most"):
        Share(files=many)


def test_channels_stand_beside_either_kind_of_share_or_alone() -> None:
    channels = (
        NamedChannel("qmp", "/run/qmp"),
        NamedChannel("log", "/run/log", Direction.FROM_GUEST),
    )
    files = (NamedFile("save", "/save", writable=True),)
    for share in (
        Share("/srv", channels=channels),
        Share(files=files, channels=channels),
        Share(channels=channels),
    ):
        assert read_share(share_nodes(share).get) == share
        assert share.shown.endswith("qmp = /run/qmp, log = /run/log")


def test_channels_must_differ_and_be_few() -> None:
    file = NamedFile("a", "/a", writable=True)
    with pytest.raises(ShareError, match="the same name: a, a"):
        Share(files=(file,), channels=(NamedChannel("a", "/b"),))
    with pytest.raises(ShareError, match="two of the channels have the same socket"):
        Share(channels=(NamedChannel("a", "/a"), NamedChannel("b", "/a")))
    many = tuple(NamedChannel(str(n), f"/{n}") for n in range(MAX_CHANNELS + 1))
    with pytest.raises(ShareError, match="16 are the most"):
        Share(channels=many)
