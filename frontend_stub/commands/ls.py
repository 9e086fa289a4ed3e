"""``ls``: the names in a directory."""

from __future__ import annotations

import os
import stat
from itertools import repeat
from typing import TYPE_CHECKING, Any

from frontend_stub.commands import output

if TYPE_CHECKING:
    import argparse

    from frontend_stub.attributes import Attributes
    from frontend_stub.share import Share

HELP = "list directories"
EXAMPLE = "xen-fileproxy-front ls -l states"

Row = tuple[bytes, "Attributes | OSError | None"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("-l", "--long", action="store_true", help="show mode, owner, size and time")
    parser.add_argument("--json", action="store_true", help="print all attributes, as JSON")
    parser.add_argument("path", nargs="*", default=["/"], help="directory or file (default: /)")


def run(share: Share, args: argparse.Namespace) -> int:
    """List each path; the names of a directory, sorted."""
    wanted = args.long or args.json
    found: dict[str, list[Row]] = {}
    for path in args.path:
        attributes = share.stat(path)
        if attributes.is_directory:
            names = sorted(entry.name for entry in share.scandir(path))
            known = share.stat_all(path, names) if wanted else repeat(None, len(names))
            found[path] = list(zip(names, known, strict=True))
        else:
            found[path] = [(os.fsencode(path), attributes)]
    if args.json:
        listing = {path: [_json(*row) for row in rows] for path, rows in found.items()}
        output.document(listing[args.path[0]] if len(args.path) == 1 else listing)
        return 0
    for path, rows in found.items():
        if len(args.path) > 1:
            output.line(f"{output.name(path)}:")
        width = max((len(str(_size(about))) for _, about in rows), default=0)
        for name, about in rows:
            output.line(_long(name, about, width) if args.long else output.name(name))
    return 0


def _json(name: bytes, about: Attributes | OSError | None) -> dict[str, Any]:
    if about is None or isinstance(about, OSError):
        return {"name": os.fsdecode(name), "error": about.strerror if about else None}
    return output.as_json(name, about)


def _size(about: Attributes | OSError | None) -> int:
    return 0 if about is None or isinstance(about, OSError) else about.size


def _long(name: bytes, about: Attributes | OSError | None, width: int) -> str:
    if about is None or isinstance(about, OSError):
        return f"?????????? {output.name(name)}: {about.strerror if about else 'unknown'}"
    return (
        f"{stat.filemode(about.mode)} {about.nlink:>2} {about.uid:>5} {about.gid:>5} "
        f"{about.size:>{width}} {output.time(about.mtime_ns)} {output.name(name)}"
    )
