"""What a share is: the directory or the named files it shows, and the rules it is served by.

One description for all who handle it: a toolstack writes it as XenStore nodes, the supervisor
reads those, a worker is told, and the command line's options make one.  The nodes ``path``,
``security_model``, ``max-space``, ``max-files``, ``max-open-files`` and ``auto-delete`` are
libxl's (Xen 4.19, ``libxl_9pfs.c``; ``xl.cfg(5)``, ``p9=``), where 0 means no limit; ``read-only``,
``commit``, ``fsync-on-close``, ``num-files`` with ``files/N/...`` and ``num-channels`` with
``channels/N/...`` are ours.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[str], bytes | None]
    """Gives a node's value by its name below the device, ``None`` where there is no such node."""

MAX_NAMED_FILES: Final = 64
"""A stub domain needs two; each costs a worker some nodes to look at, not more."""

MAX_CHANNELS: Final = 16
"""A stub domain needs a monitor and some consoles; each costs a worker a socket or two."""

MAX_SOCKET: Final = 107
"""Bytes of a unix socket's path (unix(7), ``sun_path``)."""

_MAX_VALUE: Final = 4096
"""Bytes of a node: as many as XenStore keeps, and ``PATH_MAX``."""

_MAX_NAME: Final = 255

MAX_LIMIT: Final = (1 << 43) - 1
"""MiB whose bytes still fit a file offset."""


_Choice = TypeVar("_Choice", bound=Enum)


class ShareError(ValueError):
    """A share is described wrongly; the text names the node, its value and what is accepted."""


class SecurityModel(Enum):
    """How the guest's owners and modes are kept."""

    NONE = "none"
    """As they are in Dom0; chown fails quietly where the worker may not."""
    MAPPED_XATTR = "mapped-xattr"
    """In ``user.virtfs.*`` attributes, as QEMU keeps them."""


class Commit(Enum):
    """When a file that a guest creates appears under its name."""

    NONE = "none"
    """At once."""
    ATOMIC = "atomic"
    """When it is closed after a complete write; a dead guest leaves nothing under the name."""


class Direction(Enum):
    """Which way a channel's bytes go."""

    BOTH = "both"
    TO_GUEST = "to-guest"
    FROM_GUEST = "from-guest"


class NamedChannel(NamedTuple):
    """A channel of a share: its name there, and its unix socket in Dom0."""

    name: str
    socket: str
    direction: Direction = Direction.BOTH


class NamedFile(NamedTuple):
    """One file of a share of named files: its name there, and the Dom0 file it stands for."""

    name: str
    path: str
    writable: bool


@dataclass(frozen=True)
class Share:
    """A share, checked.  ``None`` is no limit."""

    path: str = ""
    """The directory; empty where ``files`` are all there is."""
    files: tuple[NamedFile, ...] = ()
    """The named files; but for channels, nothing else is in the share then."""
    channels: tuple[NamedChannel, ...] = ()
    """The channels; they stand in the root beside the others, or alone."""
    security_model: SecurityModel = SecurityModel.NONE
    max_space: int | None = None
    """MiB that the files under the root may use on disk."""
    max_files: int | None = None
    """Files of any kind under the root, the root itself not counted."""
    max_open_files: int | None = None
    auto_delete: bool = False
    """Where a limit would be passed, the oldest file that is not open goes first."""
    read_only: bool = False
    commit: Commit = Commit.NONE
    fsync_on_close: bool = False

    def __post_init__(self) -> None:
        """Raises ``ShareError`` where the parts do not go together."""
        if not (self.path or self.files or self.channels):
            raise ShareError("path is missing; it must name the directory to export")
        if self.path and self.files:
            raise ShareError("both path and num-files: a share shows a directory or named files")
        if not self.path and self.security_model is not SecurityModel.NONE:
            raise ShareError("security_model must be none for named files: they are Dom0's own")
        if not self.path and (self.has_quota or self.auto_delete):
            raise ShareError(
                "max-space, max-files and auto-delete are rules for what lies in a directory; "
                "leave them out for named files"
            )
        for path in (self.path, *(file.path for file in self.files)):
            if path and not (path.startswith("/") and "\0" not in path):
                raise ShareError(f'export path "{path}": it must be absolute')
        if len(self.files) > MAX_NAMED_FILES:
            raise ShareError(f"{len(self.files)} named files; {MAX_NAMED_FILES} are the most")
        _check_names([*(file.name for file in self.files), *(each.name for each in self.channels)])
        _check_channels(self.channels)
        for file in self.files:
            if os.path.basename(file.path) in ("", ".", ".."):
                raise ShareError(f'path "{file.path}" of "{file.name}": it must name a file')

    @property
    def has_quota(self) -> bool:
        """Whether what lies under the root is counted."""
        return self.max_space is not None or self.max_files is not None

    @property
    def shown(self) -> str:
        """What it shows, in a line, for people."""
        named = [f"{file.name} = {file.path}" for file in self.files]
        named += [f"{channel.name} = {channel.socket}" for channel in self.channels]
        return ", ".join([self.path, *named] if self.path else named)


def read_share(read: Read) -> Share:
    """The share that a toolstack's nodes describe.  Raises ``ShareError``."""
    return Share(
        path=_text(read, "path") or "",
        files=tuple(_file(read, number) for number in range(_limit(read, "num-files") or 0)),
        channels=tuple(
            _channel(read, number) for number in range(_limit(read, "num-channels") or 0)
        ),
        security_model=_choice(read, "security_model", SecurityModel, SecurityModel.NONE),
        max_space=_limit(read, "max-space"),
        max_files=_limit(read, "max-files"),
        max_open_files=_limit(read, "max-open-files"),
        auto_delete=_flag(read, "auto-delete"),
        read_only=_flag(read, "read-only"),
        commit=_choice(read, "commit", Commit, Commit.NONE),
        fsync_on_close=_flag(read, "fsync-on-close"),
    )


def share_nodes(share: Share) -> dict[str, bytes]:
    """The nodes that describe ``share``; what is as it is without a node gets none of ours."""
    texts = {"path": share.path} if share.path else {"num-files": str(len(share.files))}
    for number, file in enumerate(share.files):
        texts[f"files/{number}/name"] = file.name
        texts[f"files/{number}/path"] = file.path
        texts[f"files/{number}/writable"] = str(int(file.writable))
    if share.channels:
        texts["num-channels"] = str(len(share.channels))
    for number, channel in enumerate(share.channels):
        texts[f"channels/{number}/name"] = channel.name
        texts[f"channels/{number}/socket"] = channel.socket
        texts[f"channels/{number}/direction"] = channel.direction.value
    texts["security_model"] = share.security_model.value
    for name, limit in (
        ("max-space", share.max_space),
        ("max-files", share.max_files),
        ("max-open-files", share.max_open_files),
    ):
        if limit is not None:
            texts[name] = str(limit)
    for name, flag in (
        ("auto-delete", share.auto_delete),
        ("read-only", share.read_only),
        ("fsync-on-close", share.fsync_on_close),
    ):
        if flag:
            texts[name] = "1"
    if share.commit is not Commit.NONE:
        texts["commit"] = share.commit.value
    return {name: os.fsencode(text) for name, text in texts.items()}


def _check_names(names: list[str]) -> None:
    for name in names:
        if not name or name in (".", "..") or "/" in name or "\0" in name:
            raise ShareError(
                f'"{name}" is no name for a file: it must have no "/", and not be "." or ".."'
            )
        if len(name.encode(errors="surrogateescape")) > _MAX_NAME:
            raise ShareError(f'"{name}" is too long: {_MAX_NAME} bytes are the most')
    if len(set(names)) != len(names):
        raise ShareError(f"two of the files and channels have the same name: {', '.join(names)}")


def _check_channels(channels: tuple[NamedChannel, ...]) -> None:
    if len(channels) > MAX_CHANNELS:
        raise ShareError(f"{len(channels)} channels; {MAX_CHANNELS} are the most")
    for name, path, _direction in channels:
        if not path.startswith("/") or "\0" in path or os.path.basename(path) in ("", ".", ".."):
            raise ShareError(f'socket "{path}" of "{name}": it must be an absolute path')
        if len(os.fsencode(path)) > MAX_SOCKET:
            raise ShareError(f'socket "{path}" of "{name}" is too long: {MAX_SOCKET} bytes at most')
    if len({channel.socket for channel in channels}) != len(channels):
        raise ShareError("two of the channels have the same socket")


def _file(read: Read, number: int) -> NamedFile:
    directory = f"files/{number}"
    name, path = _text(read, f"{directory}/name"), _text(read, f"{directory}/path")
    if name is None or path is None:
        raise ShareError(f"{directory} has no name or no path; num-files promises both")
    return NamedFile(name, path, writable=_flag(read, f"{directory}/writable"))


def _channel(read: Read, number: int) -> NamedChannel:
    directory = f"channels/{number}"
    name, path = _text(read, f"{directory}/name"), _text(read, f"{directory}/socket")
    if name is None or path is None:
        raise ShareError(f"{directory} has no name or no socket; num-channels promises both")
    return NamedChannel(
        name, path, _choice(read, f"{directory}/direction", Direction, Direction.BOTH)
    )


def _text(read: Read, node: str) -> str | None:
    value = read(node)
    if value is not None and len(value) > _MAX_VALUE:
        raise ShareError(f"{node} has {len(value)} bytes; {_MAX_VALUE} are the most")
    return None if value is None else os.fsdecode(value)


def _limit(read: Read, node: str) -> int | None:
    """A number, where 0 means no limit."""
    text = _text(read, node) or "0"
    if not (text.isascii() and text.isdigit()) or len(text) > 13 or int(text) > MAX_LIMIT:
        raise ShareError(f'{node} is "{text}"; it must be a number from 0 to {MAX_LIMIT}')
    return int(text) or None


def _flag(read: Read, node: str) -> bool:
    text = _text(read, node) or "0"
    if text not in ("0", "1"):
        raise ShareError(f'{node} is "{text}"; it must be 0 or 1')
    return text == "1"


def _choice(read: Read, node: str, kind: type[_Choice], default: _Choice) -> _Choice:
    text = _text(read, node)
    try:
        return kind(text) if text else default
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise ShareError(f'{node} is "{text}"; it must be one of: {known}') from None
