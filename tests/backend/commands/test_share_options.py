"""The options that describe a share."""

from __future__ import annotations

import argparse
import re

import pytest

from backend.commands.failure import CommandError
from backend.commands.share_options import add_share, share_of
from backend.share import Commit, Direction, NamedChannel, NamedFile, SecurityModel, Share


def parsed(*arguments: str, channel_dir: str | None = None) -> Share:
    parser = argparse.ArgumentParser()
    add_share(parser)
    return share_of(parser.parse_args(arguments), channel_dir)


def test_a_directory_with_every_rule() -> None:
    assert parsed(
        *("--path", "/srv", "--read-only", "--security-model", "mapped-xattr"),
        *("--commit", "atomic", "--fsync-on-close", "--max-space", "10", "--max-files", "20"),
        *("--max-open-files", "30", "--auto-delete"),
    ) == Share(
        "/srv",
        security_model=SecurityModel.MAPPED_XATTR,
        max_space=10,
        max_files=20,
        max_open_files=30,
        auto_delete=True,
        read_only=True,
        commit=Commit.ATOMIC,
        fsync_on_close=True,
    )


def test_named_files() -> None:
    assert parsed("--file", "a=/x", "--writable-file", "b=/y=z").files == (
        NamedFile("a", "/x", writable=False),
        NamedFile("b", "/y=z", writable=True),
    )


def test_channels() -> None:
    assert parsed("--channel", "a=/x", "--channel-to-guest", "b=/y").channels == (
        NamedChannel("a", "/x"),
        NamedChannel("b", "/y", Direction.TO_GUEST),
    )
    assert parsed("--channel-from-guest", "a", channel_dir="/run/5").channels == (
        NamedChannel("a", "/run/5/a", Direction.FROM_GUEST),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--channel", "a"], "--channel a: it must be NAME=SOCKET"),
        (["--channel", "=/x"], "--channel =/x: it must be NAME=SOCKET"),
        ([], "give either --path, or files"),
        (["--path", "/a", "--file", "a=/x"], "give either --path, or files"),
        (["--file", "a"], "--file a: it must be NAME=PATH"),
        (["--writable-file", "=/x"], "--writable-file =/x: it must be NAME=PATH"),
        (["--file", "a/b=/x"], '"a/b" is no name for a file'),
        (["--path", "/a", "--max-space", "0"], "--max-space 0: it must be 1 to 8796093022207"),
        (["--path", "/a", "--max-files", str(1 << 43)], "it must be 1 to 8796093022207"),
        (["--path", "/a", "--auto-delete"], "--auto-delete makes room within --max-space or"),
    ],
)
def test_what_is_wrong_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=re.escape(message)):
        parsed(*arguments)
