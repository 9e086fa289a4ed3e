"""Directories with all that is in them."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from frontend_stub.client import Client
from frontend_stub.share import Share
from frontend_stub.socket_transport import SocketTransport
from frontend_stub.trees import files_below, make_directories, remove_tree, target_path
from protocol.ninep.codec import decode
from protocol.ninep.directory import encode_entry
from protocol.ninep.messages import (
    Qid,
    Rattach,
    Rclunk,
    Rlopen,
    Rreaddir,
    Rwalk,
    Tattach,
    Tclunk,
    Tlopen,
    Treaddir,
    Twalk,
)
from tests.frontend_stub.peer import Peer, Script

if TYPE_CHECKING:
    from pathlib import Path


def test_make_directories(share: Share, tree: Path) -> None:
    make_directories(share, "a/b/c")
    make_directories(share, "a/b/c")
    make_directories(share, "/")
    assert (tree / "a/b/c").is_dir()
    (tree / "file").write_bytes(b"")
    with pytest.raises(FileExistsError):
        make_directories(share, "file")


def test_files_below_and_remove_tree(share: Share, tree: Path) -> None:
    for name in ("top/a/1", "top/a/2", "top/b/deep/er/3", "top/4"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"")
    (tree / "outside").mkdir()
    (tree / "outside/kept").write_bytes(b"")
    os.symlink("../outside", tree / "top/link")
    found = list(files_below(share, "top"))
    assert sorted(name for name, is_directory in found if is_directory) == [
        *(b"a", b"b", b"b/deep", b"b/deep/er")
    ]
    assert sorted(name for name, is_directory in found if not is_directory) == [
        *(b"4", b"a/1", b"a/2", b"b/deep/er/3", b"link")
    ]
    remove_tree(share, "top")
    assert sorted(os.listdir(tree)) == ["outside"]
    assert (tree / "outside/kept").exists()
    remove_tree(share, "outside/kept")
    assert share.listdir("outside") == []


def test_the_root_is_not_removed(share: Share, tree: Path) -> None:
    (tree / "file").write_bytes(b"")
    with pytest.raises(OSError, match="not the root"):
        remove_tree(share, "/")
    assert (tree / "file").exists()


def test_target_path(share: Share, tree: Path) -> None:
    (tree / "dir").mkdir()
    (tree / "file").write_bytes(b"")
    assert target_path(share, "new", "a/source") == b"new"
    assert target_path(share, "file", "a/source") == b"file"
    assert target_path(share, "dir", "a/source/") == b"dir/source"
    assert target_path(share, "new/", "source") == b"new/source"


@pytest.mark.parametrize("name", [b"a/b", b"../../etc/passwd", b"a\0b", b""])
def test_a_server_cannot_name_files_outside(name: bytes) -> None:
    directory = Qid(0x80, 0, 1)

    def play(peer: Peer) -> None:
        peer.greet()
        while True:
            try:
                frame = peer.receive_frame()
            except EOFError:
                return
            match decode(frame, len(frame)):
                case Tattach(tag):
                    peer.send(Rattach(tag, directory))
                case Twalk(tag, _, _, names):
                    peer.send(Rwalk(tag, (directory,) * len(names)))
                case Tlopen(tag):
                    peer.send(Rlopen(tag, directory, 0))
                case Treaddir(tag):
                    entry = encode_entry(Qid(0, 0, 2), 1, 8, name)
                    peer.send(Rreaddir(tag, len(entry)), entry)
                case Tclunk(tag):
                    peer.send(Rclunk(tag))

    ours, theirs = socket.socketpair()
    with (
        theirs,
        Script(Peer(theirs), play),
        Share.attach(Client.connect(SocketTransport(ours, "peer"))) as share,
        pytest.raises(OSError, match="bad name"),
    ):
        list(files_below(share, "x"))
