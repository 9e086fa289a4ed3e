"""``stat``: a file's attributes."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from frontend_stub.commands import output

if TYPE_CHECKING:
    import argparse

    from frontend_stub.share import Share

HELP = "show the attributes of files"
EXAMPLE = "xen-fileproxy-front stat --json qemu-save.7 | jq .size"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print them as JSON")
    parser.add_argument("path", nargs="+", help="file or directory")


def run(share: Share, args: argparse.Namespace) -> int:
    """Show each path; one JSON object for one path, a list of them for several."""
    found = [(path, share.stat(path)) for path in args.path]
    if args.json:
        documents = [output.as_json(path, attributes) for path, attributes in found]
        output.document(documents[0] if len(documents) == 1 else documents)
        return 0
    for path, about in found:
        qid = about.qid
        output.line(f"    name: {output.name(path)}")
        output.line(f"    type: {output.kind(about)}")
        output.line(f"    mode: {stat.S_IMODE(about.mode):04o} ({stat.filemode(about.mode)})")
        output.line(f"   owner: {about.uid}:{about.gid}, {about.nlink} link(s)")
        output.line(f"    size: {about.size} bytes, {about.blocks} blocks of 512")
        output.line(f"modified: {output.time(about.mtime_ns)}")
        output.line(f" changed: {output.time(about.ctime_ns)}")
        output.line(f"accessed: {output.time(about.atime_ns)}")
        output.line(f"     qid: {qid.type:#04x} {qid.path:#x} version {qid.version}")
    return 0
