"""``status``: asks the running supervisor how its devices are."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any, Final

from backend.commands.options import add_config, add_run_dir, load_config
from backend.commands.supervisor import add_socket, ask
from backend.commands.table import print_columns, printable, widths
from backend.confinement.walls import missing

if TYPE_CHECKING:
    import argparse

HELP = "show what the running supervisor's devices do (those in XenStore without it: list)"
EXAMPLE = "xen-fileproxy status --json | jq '.devices[].requests'"

COLUMNS: Final = (
    "device",
    "domain",
    "tag",
    "state",
    "dialect",
    "msize",
    "rings",
    "fids",
    "open",
    "read",
    "written",
    "requests",
    "errors",
    "pid",
    "version",
    "up",
    "cpu",
    "sandbox",
    "path",
)
_LEFT: Final = ("device", "domain", "tag", "state", "dialect", "version", "sandbox", "path")
_MOST_WANTED_FIRST: Final = (
    "device",
    "tag",
    "state",
    "requests",
    "read",
    "written",
    "dialect",
    "domain",
    "fids",
    "errors",
    "path",
    "sandbox",
    "msize",
    "rings",
    "open",
    "pid",
    "version",
    "up",
    "cpu",
)
_NEVER_LEFT_OUT: Final = 4
"""Columns that are shown however narrow the terminal is."""

_WHITE: Final = "-"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_config(parser)
    add_run_dir(parser)
    add_socket(parser)
    parser.add_argument("--json", action="store_true", help="print everything, as JSON")


def run(args: argparse.Namespace) -> int:
    """Ask and print."""
    document = ask(args.socket or load_config(args).status_socket)
    if args.json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return 0
    rows = [_row(device) for device in document["devices"]]
    if not rows:
        sys.stdout.write("no devices\n")
    elif sys.stdout.isatty():
        _print_rich(rows)
    else:
        print_columns(rows, COLUMNS, _LEFT)
    for device in document["devices"]:
        if device.get("error"):
            sys.stdout.write(f"{_name(device)}: closed: {printable(device['error'])}\n")
        if device.get("adopted") is not None:
            sys.stdout.write(
                f"{_name(device)}: worker {device['pid']} of version "
                f"{printable(device['version'])} was started by an earlier supervisor"
                f"{_hint(device, document.get('version'))}\n"
            )
        if device.get("answers") is False:
            sys.stdout.write(f"{_name(device)}: worker {device['pid']} does not answer\n")
        for what in missing(device["walls"]) if "walls" in device else ():
            sys.stdout.write(f"{_name(device)}: sandbox: {printable(what)}\n")
    return 0


def _hint(device: dict[str, Any], ours: str | None) -> str:
    """What to do about a worker of other code than the supervisor's."""
    old = device.get("recovers") and device["version"] != ours
    return f"; 'xen-fileproxy upgrade' brings {printable(str(ours))}" if old else ""


def _name(device: dict[str, Any]) -> str:
    return f"d{device['domid']}/{device['devid']}"


def _row(device: dict[str, Any]) -> dict[str, str]:
    """What each column shows of a device; the guest wrote some of it."""

    def shown(key: str) -> str:
        value = device.get(key)
        return _WHITE if value is None else printable(str(value))

    rings = f"{device['rings']}x{4 << device['order']}K" if device.get("rings") else _WHITE
    return {
        "device": _name(device),
        "domain": shown("domain"),
        "tag": shown("tag"),
        "state": shown("state"),
        "dialect": shown("dialect"),
        "msize": shown("msize"),
        "rings": rings,
        "fids": shown("fids"),
        "open": shown("open_files"),
        "read": _bytes(device.get("bytes_read")),
        "written": _bytes(device.get("bytes_written")),
        "requests": shown("requests"),
        "errors": shown("errors"),
        "pid": shown("pid"),
        "version": shown("version"),
        "up": _duration(device.get("uptime")),
        "cpu": f"{device['cpu_seconds']:.2f}s" if device.get("cpu_seconds") is not None else _WHITE,
        "sandbox": _sandbox(device.get("walls")),
        "path": shown("path"),
    }


def _sandbox(walls: dict[str, str] | None) -> str:
    if walls is None:
        return _WHITE
    if not walls:
        return "OFF"
    return "partly" if missing(walls) else "whole"


def _bytes(count: int | None) -> str:
    if count is None:
        return _WHITE
    size, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return _WHITE
    whole = int(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= 2 * size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def fitting(rows: list[dict[str, str]], width: int) -> list[str]:
    """The columns that a terminal of ``width`` characters can show without cutting one."""
    needed = widths(rows, COLUMNS)
    columns: set[str] = set()
    left = width + 2  # no gap after the last one
    for number, name in enumerate(_MOST_WANTED_FIRST):
        if number < _NEVER_LEFT_OUT or needed[name] + 2 <= left:
            columns.add(name)
            left -= needed[name] + 2
    return [name for name in COLUMNS if name in columns]


def _print_rich(rows: list[dict[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    columns = fitting(rows, console.width)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, justify="left" if name in _LEFT else "right", overflow="fold")
    for row in rows:
        # As Text: brackets in a guest's tag are no markup.
        table.add_row(*(Text(row[name]) for name in columns))
    console.print(table)
    if len(columns) < len(COLUMNS):
        left_out = ", ".join(name for name in COLUMNS if name not in columns)
        note = f"(too narrow for {left_out}; --json has everything)"
        sys.stdout.write(textwrap.fill(note, console.width) + "\n")
