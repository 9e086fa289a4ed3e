"""``serve --listen`` with p9fs, a client in Python that somebody else wrote, in both dialects.

Its 9P2000.L is small: no links, and rmdir only when a tree is named.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any

import pytest
from p9fs import P9FileNotFound, P9FileSystem

from tests.end_to_end.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("leak_free")


@pytest.fixture(params=["9P2000.u", "9P2000.L"])
def files(request: pytest.FixtureRequest, export: Path, leak_free: None) -> Iterator[Any]:
    """A file system that is the export."""
    with serving(export, "tcp:127.0.0.1:0") as ready:
        port = re.search(r"'127\.0\.0\.1', (\d+)", ready)
        assert port is not None
        files = P9FileSystem(
            "127.0.0.1",
            int(port[1]),
            username="nobody",
            version=request.param,
            aname="/",
            skip_instance_cache=True,
        )
        try:
            yield files
        finally:
            files.client.fd.close()


def test_what_is_written_can_be_read(files: Any, export: Path) -> None:
    content = os.urandom(1 << 20)
    with files.open("new", "wb") as file:
        file.write(content)
    assert (export / "new").read_bytes() == content
    with files.open("new", "rb") as file:
        assert file.read() == content
        file.seek(70_000)
        assert file.read(5000) == content[70_000:75_000]


def test_what_is_there_is_described(files: Any, export: Path) -> None:
    (export / "d").mkdir(mode=0o750)
    (export / "d/f").write_bytes(b"12345")
    os.chmod(export / "d/f", 0o640)
    os.utime(export / "d/f", (1_600_000_000, 1_700_000_000))
    assert (files.isdir("d"), files.isfile("d/f"), files.isfile("d")) == (True, True, False)
    found = files.info("d/f")
    assert (found["size"], found["type"]) == (5, "file")
    assert stat.S_IMODE(found["mode"]) == 0o640
    seconds = found["mtime"] if files.version == "9P2000.u" else found["mtime"][0]
    assert seconds == 1_700_000_000
    assert not files.exists("d/missing")
    with pytest.raises(P9FileNotFound):
        files.info("missing/too")


def test_a_thousand_files_are_listed(files: Any, export: Path) -> None:
    names = {f"file {number} \N{SNOWMAN}" for number in range(1000)}
    for name in names:
        (export / name).touch()
    (export / "directory").mkdir()
    listed = {name.strip("/") for name in files.ls("", detail=False)}
    assert listed == {*names, "directory"}


def test_a_listing_has_all_attributes(files: Any, export: Path) -> None:
    (export / "f").write_bytes(b"123")
    (export / "d").mkdir()
    found = {entry["name"].strip("/"): entry for entry in files.ls("", detail=True)}
    assert (found["f"]["size"], found["f"]["type"]) == (3, "file")
    assert found["d"]["type"] == "directory"


def test_making_and_removing(files: Any, export: Path) -> None:
    files.makedirs("a/b/c")
    assert (export / "a/b/c").is_dir()
    assert stat.S_IMODE((export / "a").stat().st_mode) == 0o755
    with files.open("a/b/c/f", "wb") as file:
        file.write(b"123")
    with pytest.raises(Exception, match=r"not empty|39"):
        files.rmdir("a/b/c")
    files.rm("a/b/c/f")
    files.rmdir("a/b/c")
    assert os.listdir(export / "a/b") == []


def test_copying_and_moving(files: Any, export: Path) -> None:
    content = os.urandom(100_000)
    (export / "f").write_bytes(content)
    files.copy("f", "g")
    assert (export / "g").read_bytes() == content
    files.mv("g", "h")
    assert (export / "h").read_bytes() == content
    assert sorted(os.listdir(export)) == ["f", "h"]


def test_a_tree_is_walked(files: Any, export: Path) -> None:
    """It would never end if a directory contained itself."""
    (export / "a/b").mkdir(parents=True)
    for name in ("a/1", "a/b/2", "3"):
        (export / name).touch()
    assert {name.strip("/") for name in files.find("")} == {"a/1", "a/b/2", "3"}
