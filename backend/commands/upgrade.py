"""``upgrade``: has workers of the running supervisor's code take over from older ones."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from backend.commands.failure import CommandError
from backend.commands.options import add_config, add_run_dir, load_config
from backend.commands.supervisor import add_socket, ask, converse
from backend.commands.table import printable
from backend.version import version

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

HELP = "have workers of this version take over from older ones, without their guests noticing"
EXAMPLE = "xen-fileproxy upgrade guest1 d7/0"

_PATIENCE: Final = 300.0
"""Seconds for one device; the supervisor's own bounds are shorter unless they were configured."""

Document = dict[str, Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "device",
        metavar="DEVICE",
        nargs="*",
        help="a domain's name or number, for all its devices; or one, as guest1/0 or d5/0 "
        "(default: every device that has a worker)",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="workers that run this version already, too: for a configuration that has changed",
    )
    add_config(parser)
    add_run_dir(parser)
    add_socket(parser)
    parser.add_argument("--json", action="store_true", help="print what came of each, as JSON")


def run(args: argparse.Namespace) -> int:
    """One after the other; 1 where one was not upgraded."""
    path = args.socket or load_config(args).status_socket
    status = ask(path)
    ours, running = version(), status.get("version")
    if running != ours:
        raise CommandError(
            f"the supervisor runs version {running}, and this program is {ours}: restart it first "
            "(systemctl restart xen-fileproxy), which no guest notices"
        )
    results = []
    for device in chosen(status["devices"], args.device):
        result = upgrade(path, device, ours, again=args.again)
        results.append(result)
        if not args.json:
            sys.stdout.write(said(result) + "\n")
            sys.stdout.flush()
    if args.json:
        sys.stdout.write(json.dumps({"version": ours, "devices": results}, indent=2) + "\n")
    elif not results:
        sys.stdout.write("no device has a worker\n")
    return int(any(result["result"] == "kept" for result in results))


def chosen(devices: list[Document], names: list[str]) -> list[Document]:
    """The devices that are meant, each once, in order.  Raises ``CommandError``."""
    if not names:
        return [device for device in devices if device.get("pid")]
    wanted = []
    for name in names:
        found = [device for device in devices if name in _names(device)]
        if not found:
            there = ", ".join(_key(device) for device in devices) or "none"
            raise CommandError(f"{name}: no such device; those that there are: {there}")
        wanted += found
    return [device for device in devices if device in wanted]


def _names(device: Document) -> Iterator[str]:
    for domain in (device.get("domain"), str(device["domid"]), f"d{device['domid']}"):
        if domain:
            yield domain
            yield f"{domain}/{device['devid']}"


def _key(device: Document) -> str:
    return f"d{device['domid']}/{device['devid']}"


def upgrade(path: str, device: Document, ours: str, *, again: bool) -> Document:
    """What came of one device.  Raises ``CommandError`` where the supervisor does not answer."""
    result: Document = {
        "device": _key(device),
        "domain": device.get("domain"),
        "from": device.get("version"),
    }
    if device.get("version") == ours and not again:
        return {**result, "result": "current"}
    request = f"upgrade {device['domid']}/{device['devid']}\n".encode()
    try:
        answer = json.loads(converse(path, request, _PATIENCE))
    except ValueError:
        raise CommandError(
            f"{path}: the supervisor ended in between; see xen-fileproxy status"
        ) from None
    if answer["upgraded"]:
        return {**result, "result": "upgraded", "to": ours, "pause": round(answer["pause"], 4)}
    return {**result, "result": "kept", "reason": answer["reason"], "remedy": answer["remedy"]}


def said(result: Document) -> str:
    """A line for people."""
    name = f"{result['device']} ({result['domain']})" if result["domain"] else result["device"]
    if result["result"] == "current":
        what = f"runs version {result['from']} already"
    elif result["result"] == "upgraded":
        pause = f"{result['pause'] * 1000:.0f} ms"
        what = f"upgraded from {result['from']} to {result['to']}, a pause of {pause}"
    else:
        what = f"NOT upgraded: {result['reason']} ({result['remedy']})"
    return printable(f"{name}: {what}")
