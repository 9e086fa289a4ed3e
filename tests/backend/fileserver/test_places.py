"""Tremove and Trename act on the name that a file has now, whichever fid gave it that name."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from protocol.ninep.flags import AT_REMOVEDIR, DOTL_DIRECTORY, DOTL_RDWR
from protocol.ninep.ids import Fid
from protocol.ninep.messages import Trename, Twalk

from .client import BAD_NAMES, ROOT, TAG, Client, refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def tree(export: Path) -> Path:
    (export / "dir/sub").mkdir(parents=True)
    (export / "dir/inner").write_bytes(b"inner")
    (export / "other").mkdir()
    (export / "file").write_bytes(b"data")
    return export


def names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def moved_within(client: Client) -> None:
    client.rename(b"file", b"moved")


def moved_across(client: Client) -> None:
    client.rename(b"file", b"moved", to=client.walk(b"other"))


def moved_twice(client: Client) -> None:
    moved_within(client)
    client.rename(b"moved", b"again", to=client.walk(b"dir", b"sub"))


def moved_over(client: Client) -> None:
    client.rename(b"file", b"inner", to=client.walk(b"dir"))


def moved_to_itself(client: Client) -> None:
    client.rename(b"file", b"file")


def moved_by_fid(client: Client) -> None:
    client.rename_fid(client.walk(b"file"), b"moved", to=client.walk(b"other"))


MOVES = [moved_within, moved_across, moved_twice, moved_over, moved_to_itself, moved_by_fid]


@pytest.mark.parametrize("move", MOVES)
def test_remove_finds_the_name_of_now(
    client: Client, tree: Path, move: Callable[[Client], None]
) -> None:
    walked, cloned_from = client.walk(b"file"), client.walk(b"file")
    clone = client.walk(fid=cloned_from)
    client.clunk(cloned_from)
    move(client)
    client.remove(clone)
    assert "file" not in names(tree)
    assert names(tree / "dir") - {"inner"} == {"sub"}
    assert not names(tree / "other") | names(tree / "dir/sub")
    with refused(errno.ENOENT):
        client.remove(walked)


@pytest.mark.parametrize("move", MOVES)
def test_rename_by_fid_finds_the_name_of_now(
    client: Client, tree: Path, move: Callable[[Client], None]
) -> None:
    first, second = client.walk(b"file"), client.open(b"file", flags=DOTL_RDWR)
    move(client)
    client.rename_fid(first, b"last")
    client.rename_fid(second, b"very last", to=client.walk(b"other"))
    assert (tree / "other/very last").read_bytes() == b"data"
    assert client.write(second, b"D") == 1
    assert (tree / "other/very last").read_bytes() == b"Data"
    assert names(tree) == {"dir", "other"}
    assert client.names(b"other") == {b"very last"}


def test_a_directory_takes_what_stands_in_it_along(client: Client, tree: Path) -> None:
    inner, sub = client.walk(b"dir", b"inner"), client.walk(b"dir", b"sub")
    directory = client.open(b"dir", flags=DOTL_DIRECTORY)
    client.rename(b"dir", b"below", to=client.walk(b"other"))
    client.rename_fid(inner, b"moved", to=directory)
    client.remove(sub)
    client.remove(inner)
    assert names(tree / "other/below") == set()
    client.remove(directory)
    assert names(tree / "other") == set()


def test_a_fid_that_walked_on_in_place_stands_where_it_came_to(client: Client, tree: Path) -> None:
    fid = client.walk(b"dir")
    client.call(Twalk(TAG, fid, fid, (b"inner",)))
    client.rename(b"inner", b"moved", fid=client.walk(b"dir"))
    client.call(Twalk(TAG, fid, fid, ()))
    client.remove(fid)
    assert names(tree / "dir") == {"sub"}


def test_what_was_created_through_a_fid_is_renamed_with_it(client: Client, tree: Path) -> None:
    fid = client.create(b"new", data=b"new")
    client.rename(b"new", b"renamed")
    client.remove(fid)
    assert names(tree) == {"dir", "other", "file"}


def test_a_replaced_file_has_no_name_and_its_fids_harm_nobody(client: Client, tree: Path) -> None:
    replaced = client.open(b"dir", b"inner", flags=DOTL_RDWR)
    walked = client.walk(b"dir", b"inner")
    moved_over(client)
    with refused(errno.ENOENT):
        client.rename_fid(replaced, b"back")
    with refused(errno.ENOENT):
        client.remove(walked)
    assert client.write(replaced, b"I") == 1
    assert client.read(replaced, 9) == b"Inner"
    assert (tree / "dir/inner").read_bytes() == b"data"


def test_an_unlinked_file_has_no_name_even_when_there_is_a_new_one(
    client: Client, tree: Path
) -> None:
    gone, also = client.walk(b"file"), client.walk(b"file")
    client.unlink(b"file")
    client.create(b"file")
    with refused(errno.ENOENT):
        client.rename_fid(gone, b"back")
    for fid in (gone, also):
        with refused(errno.ENOENT):
            client.remove(fid)
    assert (tree / "file").read_bytes() == b""
    client.remove(client.walk(b"file"))
    assert not (tree / "file").exists()


def test_a_removed_directory_and_its_successor_are_two(client: Client) -> None:
    old = client.walk(b"other")
    client.unlink(b"other", AT_REMOVEDIR)
    client.mkdir(b"other")
    new = client.walk(b"other")
    with refused(errno.ENOENT):
        client.remove(old)
    client.remove(new)


def test_between_two_names_of_one_file_a_rename_does_nothing(client: Client, tree: Path) -> None:
    os.link(tree / "file", tree / "twin")
    for standing in (b"file", b"twin"):
        fid = client.walk(standing)
        client.rename(b"file", b"twin")
        assert names(tree) == {"dir", "other", "file", "twin"}
        client.remove(fid)
        assert names(tree) == {"dir", "other", "file", "twin"} - {standing.decode()}
        if standing == b"file":
            os.link(tree / "twin", tree / "file")


def test_a_name_that_dom0_took_is_compared_first(client: Client, tree: Path) -> None:
    gone, other = client.walk(b"file"), client.walk(b"dir", b"inner")
    (tree / "file").rename(tree / "kept")
    with refused(errno.ENOENT):
        client.rename_fid(gone, b"moved")
    (tree / "file").write_bytes(b"another")
    (tree / "dir/inner").unlink()
    (tree / "dir/inner").mkdir()
    for fid in (gone, other):
        with refused(errno.ESTALE):
            client.rename_fid(fid, b"moved")
    assert names(tree) == {"dir", "other", "file", "kept"}


def test_a_failed_rename_or_unlink_leaves_the_places(client: Client, tree: Path) -> None:
    fid, directory = client.walk(b"file"), client.walk(b"dir")
    with refused(errno.EISDIR):
        client.rename(b"file", b"other")
    with refused(errno.ENOTEMPTY):
        client.unlink(b"dir", AT_REMOVEDIR)
    client.rename_fid(directory, b"directory")
    client.remove(fid)
    assert names(tree) == {"directory", "other"}


@pytest.mark.parametrize(
    ("names", "code"),
    [((), errno.EBUSY), ((b"..",), errno.EBUSY), ((b"dir", b"sub", b".."), errno.EBUSY)],
)
def test_a_file_whose_name_is_not_known_is_not_renamed(
    client: Client, names: tuple[bytes, ...], code: int
) -> None:
    with refused(code):
        client.rename_fid(client.walk(*names), b"moved", to=client.walk(b"other"))


@pytest.mark.parametrize(("name", "code"), [*BAD_NAMES, (b"other", errno.EISDIR)])
def test_rename_by_fid_refused(client: Client, tree: Path, name: bytes, code: int) -> None:
    fid = client.walk(b"file")
    with refused(code):
        client.rename_fid(fid, name)
    with refused(errno.ENOTDIR):
        client.rename_fid(fid, b"moved", to=client.walk(b"dir", b"inner"))
    with refused(errno.EINVAL):
        client.rename_fid(client.walk(b"dir"), b"below", to=client.walk(b"dir", b"sub"))
    for request in (Trename(TAG, Fid(99), ROOT, b"x"), Trename(TAG, fid, Fid(99), b"x")):
        with refused(errno.EBADF):
            client.call(request)
    assert names(tree) == {"dir", "other", "file"}


def test_fids_of_one_name_share_a_place_and_the_last_gives_it_up(client: Client) -> None:
    places = client.session.places
    fids = [client.walk(b"dir", b"inner") for _ in range(50)]
    assert len(places) == 1
    client.rename(b"inner", b"moved", fid=client.walk(b"dir"))
    assert len(places) == 2  # and "dir" itself
    for fid in fids:
        client.clunk(fid)
    assert len(places) == 1
