"""What may be exported: directories that are there, readable, and allowed."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from typing import TYPE_CHECKING

import pytest

from backend.exports import ExportError, check_share, open_export, prepare_share
from backend.share import NamedFile, SecurityModel, Share

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_directory_is_opened(tmp_path: Path) -> None:
    root = open_export(str(tmp_path))
    assert os.readlink(f"/proc/self/fd/{root}") == str(tmp_path)
    os.close(root)


def test_link_to_a_directory_counts_as_the_directory(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert check_share(Share(str(tmp_path / "link")), [str(tmp_path / "real")]) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "No such file or directory"),
        ("file", "Not a directory"),
        ("file/below", "Not a directory"),
        ("fifo", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("dangling", "No such file or directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_is_no_directory_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("gone")
    with pytest.raises(ExportError, match=re.escape(f"export path {tmp_path}/{name}: {message}")):
        open_export(str(tmp_path / name))


@pytest.mark.parametrize("path", ["", "srv", "./srv"])
def test_path_must_be_absolute(path: str) -> None:
    with pytest.raises(ExportError, match="must be absolute"):
        open_export(path)


def test_nul_in_a_path_is_named() -> None:
    with pytest.raises(ExportError, match="null byte"):
        open_export("/srv\0/x")


def test_unreadable_directory_is_named() -> None:
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o711)  # noqa: S103 -- the other user must get through
        secret = f"{top}/secret"
        os.mkdir(secret, 0o300)
        os.chmod(secret, 0o300)
        assert f"{secret}: Permission denied" in as_ordinary_user(check_share, Share(secret))


def as_ordinary_user(call: Callable[[Share], str | None], argument: Share) -> str:
    """What ``call`` returns in a child process that is not root, who may read everything."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        os.write(writer, str(call(argument)).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(child, 0)
    return answer


@pytest.mark.usefixtures("user_attributes")
def test_mapped_owners_need_a_file_system_that_can_keep_them(tmp_path: Path) -> None:
    mapped = SecurityModel.MAPPED_XATTR
    assert check_share(Share(str(tmp_path), security_model=mapped)) is None
    os.setxattr(tmp_path, "user.virtfs.mode", b"\xed\x41\0\0")
    assert check_share(Share(str(tmp_path), security_model=mapped)) is None
    assert check_share(Share("/proc/self")) is None
    assert check_share(Share("/proc/self", security_model=mapped)) == (
        "export path /proc/self: security_model mapped-xattr needs a file system with user "
        "attributes (ext4, XFS, Btrfs...), here: Operation not supported; or use security_model "
        "none"
    )


def test_allowed_is_itself_and_below_nothing_else(tmp_path: Path) -> None:
    for name in ("srv/a/b", "srv2", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "srv" / "out").symlink_to(tmp_path / "other")
    allowed = [f"{tmp_path}/none", f"{tmp_path}/srv"]
    assert check_share(Share(f"{tmp_path}/srv"), allowed) is None
    assert check_share(Share(f"{tmp_path}/srv/a/b"), allowed) is None
    assert check_share(Share("/"), ["/"]) is None
    for outside in ("srv2", "other", "srv/../other", "srv/out", ""):
        why = check_share(Share(f"{tmp_path}/{outside}"), allowed)
        assert why is not None
        assert "not below an entry of allowed-exports" in why


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for path in (str(tmp_path), f"{tmp_path}/none", __file__):
        check_share(Share(path), ["/nowhere"])
    check_share(Share("/proc/self", security_model=SecurityModel.MAPPED_XATTR))
    assert os.listdir("/proc/self/fd") == before


def test_missing_directory_is_made_for_a_toolstack(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    assert prepare_share(Share(f"{path}/")) is None
    assert [stat.S_IMODE(made.stat().st_mode) for made in (path.parent, path)] == [0o750, 0o750]
    assert prepare_share(Share(str(path))) is None


def test_missing_directory_is_made_where_it_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "elsewhere").mkdir()
    allowed = [str(tmp_path / "exports")]
    assert prepare_share(Share(str(tmp_path / "exports" / "a")), allowed) is None
    for path in ("other/a", "link/a", "exports-not/a"):
        why = prepare_share(Share(str(tmp_path / path)), allowed)
        assert why is not None
        assert "not below an entry of allowed-exports" in why
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "exports", "link"]
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("file/a", "not there, and not made: Not a directory"),
        ("dangling", "No such file or directory"),
        ("dangling/a", "not there, and not made: No such file or directory"),
        ("gone/../a", "No such file or directory"),
    ],
)
def test_what_cannot_be_made_is_said(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    why = f"export path {tmp_path}/{path}: {message}"
    assert prepare_share(Share(f"{tmp_path}/{path}")) == why
    assert sorted(os.listdir(tmp_path)) == ["dangling", "file"]


def test_named_files_make_no_directory(tmp_path: Path) -> None:
    share = Share(files=(NamedFile("a", str(tmp_path / "gone" / "a"), writable=True),))
    assert prepare_share(share) is not None
    assert os.listdir(tmp_path) == []
