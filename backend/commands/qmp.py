"""``qmp``: speaks to a QEMU's monitor, one command or many."""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
from typing import TYPE_CHECKING, Any

from backend.commands.domain_option import domain, domid_of
from backend.commands.failure import CommandError
from backend.commands.options import add_config, add_run_dir, load_config, seconds
from backend.commands.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.channel.qmp import Monitor
    from protocol.xenpv.ids import Domid

HELP = "speak to the monitor of a QEMU in a stub domain, through its channel"
EXAMPLE = "xen-fileproxy qmp guest1 device_del id=usb0"

_PROMPT = "(qmp) "


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "target",
        metavar="DOMAIN|SOCKET",
        help="a domain's name or number, its stub domain's, or the path of a QMP socket",
    )
    parser.add_argument(
        "command",
        metavar="COMMAND",
        nargs="?",
        help="what to execute; the result is printed as JSON.  Without it, commands are read from "
        "standard input, one a line, and events are shown",
    )
    parser.add_argument(
        "arguments",
        metavar="ARGUMENT",
        nargs="*",
        help="a JSON object, or NAME=VALUE as often as needed, where VALUE is JSON or a string",
    )
    parser.add_argument(
        "--channel",
        metavar="NAME",
        default="qmp",
        help="the channel's name (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=10.0,
        help="how long to wait for the monitor, and for each answer (default: %(default)g)",
    )
    add_config(parser)
    add_run_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Connect, execute, print."""
    from backend.channel.qmp import Monitor, MonitorError, Refused

    given = parsed_arguments(args.arguments)
    path = _socket(args)
    try:
        with Monitor.connect(path, args.timeout) as monitor:
            if args.command is None:
                return _converse(monitor)
            try:
                result = monitor.execute(args.command, given)
            except Refused as refused:
                raise CommandError(f"{args.command}: {refused}") from refused
            _print(result)
    except MonitorError as error:
        raise CommandError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise CommandError(
            f"{path}: no such socket; is the channel attached ('attach --channel "
            f"{args.channel}'), and the guest's driver connected?"
        ) from error
    except ConnectionRefusedError as error:
        raise CommandError(f"{path}: nobody listens any more") from error
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    return 0


def parsed_arguments(words: Sequence[str]) -> dict[str, Any]:
    """A command's arguments: one JSON object, or ``NAME=VALUE``.  Raises ``CommandError``."""
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            document = json.loads(words[0])
        except (ValueError, RecursionError) as error:
            raise CommandError(f"arguments {words[0]}: not JSON: {error}") from error
        return dict(document)
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise CommandError(f"argument {word}: it must be NAME=VALUE, or all one JSON object")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:  # noqa: ANN401 -- anything JSON has
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _socket(args: argparse.Namespace) -> str:
    """The path of the monitor's socket.  Raises ``CommandError``, ``OSError``."""
    if "/" in args.target:
        return str(args.target)
    config = load_config(args)
    try:
        given = domain(args.target)
    except argparse.ArgumentTypeError as error:
        raise CommandError(f"{args.target}: neither a domain nor a path") from error
    if not isinstance(given, str):
        path = _path(config.run_dir, given, args.channel)
        if os.path.exists(path):
            return path
    from backend.stubdom.target import served_by

    with open_store(config.platform) as (store, _own):
        return _path(config.run_dir, served_by(store, domid_of(store, given)), args.channel)


def _path(run_dir: str, target: Domid | int, channel: str) -> str:
    return os.path.join(run_dir, str(target), channel)


def _print(document: Any) -> None:  # noqa: ANN401 -- anything JSON has
    """ASCII alone: what a guest sends must not command a terminal."""
    text = json.dumps(document, indent=2 if sys.stdout.isatty() else None)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _show_event(event: dict[str, Any]) -> None:
    name, data = event["event"], event.get("data")
    shown = json.dumps(name)[1:-1] if isinstance(name, str) else json.dumps(name)
    sys.stdout.write(f"event {shown}{'' if data is None else ' ' + json.dumps(data)}\n")
    sys.stdout.flush()


def _converse(monitor: Monitor) -> int:
    """Execute lines of standard input until its end; 1 if any failed."""
    from backend.channel.qmp import Refused

    monitor.on_event = _show_event
    code, unread = 0, b""
    _prompt()
    while True:
        if monitor.fileno() in select.select([0, monitor.fileno()], [], [])[0]:
            monitor.hear()
            continue
        data = os.read(0, 65536)
        unread += data
        *lines, unread = unread.split(b"\n")
        if not data and unread:
            lines, unread = [unread], b""
        for line in filter(None, map(bytes.strip, lines)):
            try:
                _execute(monitor, line.decode(errors="replace"))
            except (CommandError, Refused) as error:
                code = 1
                sys.stdout.write(f"error: {error}\n")
                sys.stdout.flush()
        if not data:
            return code
        monitor.hear()  # what came with an answer
        _prompt()


def _prompt() -> None:
    if os.isatty(0) and sys.stdout.isatty():
        sys.stdout.write(_PROMPT)
        sys.stdout.flush()


def _execute(monitor: Monitor, line: str) -> None:
    """A line: ``COMMAND ARGUMENT...``, or the whole request as JSON."""
    if line.startswith("{"):
        try:
            request = json.loads(line)
            command, given = request["execute"], request.get("arguments")
        except (ValueError, KeyError, RecursionError) as error:
            raise CommandError(f'{line}: not {{"execute": ...}}') from error
    else:
        command, _, rest = line.partition(" ")
        rest = rest.strip()
        given = parsed_arguments([rest] if rest.startswith("{") else rest.split())
    _print(monitor.execute(command, given))
