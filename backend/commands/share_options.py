"""The options that describe a share, for every command that makes one."""

from __future__ import annotations

import argparse
import os
from typing import Final

from backend.commands.failure import CommandError
from backend.share import (
    MAX_LIMIT,
    Commit,
    Direction,
    NamedChannel,
    NamedFile,
    SecurityModel,
    Share,
    ShareError,
)

_STREAM: Final = (
    "a byte stream between the file NAME and the unix socket SOCKET of Dom0; for attach it is "
    "TARGET/NAME in the supervisor's run-dir, unless given: TARGET is the domain, or the one that "
    "it is the stub domain of"
)

_CHANNELS: Final = {
    "--channel": (Direction.BOTH, _STREAM),
    "--channel-to-guest": (Direction.TO_GUEST, "as --channel, but the guest only reads"),
    "--channel-from-guest": (Direction.FROM_GUEST, "as --channel, but the guest only writes"),
}


def add_share(parser: argparse.ArgumentParser) -> None:
    """Declare the options; ``share_of`` makes a share of them."""
    what = parser.add_argument_group("what is shared (--path, or named files; and channels)")
    what.add_argument("--path", metavar="DIR", help="the directory to share")
    what.add_argument(
        "--file",
        metavar="NAME=PATH",
        action="append",
        default=[],
        help="share the file PATH under NAME, for reading; nothing else is visible",
    )
    what.add_argument(
        "--writable-file",
        metavar="NAME=PATH",
        action="append",
        default=[],
        help="as --file, but the guest may create, write and remove it",
    )
    for option, (_direction, help_text) in _CHANNELS.items():
        what.add_argument(
            option,
            metavar="NAME[=SOCKET]",
            action="append",
            default=[],
            help=help_text,
        )
    how = parser.add_argument_group("by which rules")
    how.add_argument("--read-only", action="store_true", help="the guest changes nothing")
    how.add_argument(
        "--security-model",
        choices=[model.value for model in SecurityModel],
        default=SecurityModel.NONE.value,
        help="owners and modes: as in Dom0 (none), or kept in extended attributes as QEMU does "
        "(default: %(default)s)",
    )
    how.add_argument(
        "--commit",
        choices=[commit.value for commit in Commit],
        default=Commit.NONE.value,
        help="atomic: a new file appears when it is closed, whole (default: %(default)s)",
    )
    how.add_argument(
        "--fsync-on-close", action="store_true", help="a written file is on disk when it is closed"
    )
    how.add_argument("--max-space", metavar="MIB", type=int, help="disk space under the root")
    how.add_argument("--max-files", metavar="N", type=int, help="files under the root")
    how.add_argument("--max-open-files", metavar="N", type=int, help="files open at once")
    how.add_argument(
        "--auto-delete",
        action="store_true",
        help="remove the oldest files that are not open where a limit would be passed",
    )


def first_given(args: argparse.Namespace) -> str | None:
    """An option of ``add_share`` that was given, if any was."""
    plain = argparse.ArgumentParser()
    add_share(plain)
    for name, default in vars(plain.parse_args([])).items():
        if getattr(args, name) != default:
            return f"--{name.replace('_', '-')}"
    return None


def share_of(args: argparse.Namespace, channel_dir: str | None = None) -> Share:
    """The share that the options describe.  Raises ``CommandError``.

    ``channel_dir`` is where a channel has its socket, under its name, if it is given none.
    """
    for option in ("max_space", "max_files", "max_open_files"):
        value = getattr(args, option)
        if value is not None and not 1 <= value <= MAX_LIMIT:
            name = option.replace("_", "-")
            raise CommandError(
                f"--{name} {value}: it must be 1 to {MAX_LIMIT}; without it, no limit"
            )
    if args.auto_delete and args.max_space is None and args.max_files is None:
        raise CommandError("--auto-delete makes room within --max-space or --max-files: give one")
    files = [
        *(_named("--file", text, writable=False) for text in args.file),
        *(_named("--writable-file", text, writable=True) for text in args.writable_file),
    ]
    channels = _channels(args, channel_dir)
    if (args.path and files) or not (args.path or files or channels):
        raise CommandError(
            "give either --path, or files with --file and --writable-file; or --channel"
        )
    try:
        return Share(
            path=os.path.abspath(args.path) if args.path else "",
            files=tuple(files),
            channels=tuple(channels),
            security_model=SecurityModel(args.security_model),
            max_space=args.max_space,
            max_files=args.max_files,
            max_open_files=args.max_open_files,
            auto_delete=args.auto_delete,
            read_only=args.read_only,
            commit=Commit(args.commit),
            fsync_on_close=args.fsync_on_close,
        )
    except ShareError as error:
        raise CommandError(str(error)) from error


def _channels(args: argparse.Namespace, channel_dir: str | None) -> list[NamedChannel]:
    found = []
    for option, (direction, _help) in _CHANNELS.items():
        for text in getattr(args, option.removeprefix("--").replace("-", "_")):
            name, _, path = text.partition("=")
            if not path and name and channel_dir is not None and "/" not in name:
                path = os.path.join(channel_dir, name)
            if not (name and path):
                raise CommandError(f"{option} {text}: it must be NAME=SOCKET")
            found.append(NamedChannel(name, os.path.abspath(path), direction))
    return found


def _named(option: str, text: str, *, writable: bool) -> NamedFile:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise CommandError(f"{option} {text}: it must be NAME=PATH")
    return NamedFile(name, os.path.abspath(path), writable=writable)
