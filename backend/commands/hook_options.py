"""What ``install-hook`` and ``remove-hook`` have in common."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.commands.failure import CommandError
from backend.commands.options import add_config, add_run_dir, load_config
from backend.commands.stores import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping

    from backend.hook.places import Hook


_SHOWN: Final = 8
"""Devices that are named; who has more knows what they are."""


def add_hook(parser: argparse.ArgumentParser, *, force: str) -> None:
    """Declare the options; ``force`` is the help of ``--force``."""
    parser.add_argument(
        "--libexec",
        metavar="DIR",
        action="append",
        default=[],
        help="a directory that libxl runs xen-9pfsd or vchan-socket-proxy from; more than once for "
        "several (default: all that Xen's packages have, as /usr/lib/xen-4.20/bin)",
    )
    parser.add_argument("--force", action="store_true", help=force)
    parser.add_argument("--json", action="store_true", help="print what was found and done as JSON")
    add_config(parser)
    add_run_dir(parser)


class Place(NamedTuple):
    """Where libxl looks for a program."""

    directory: str
    name: str

    @property
    def path(self) -> str:
        """The program's."""
        return os.path.join(self.directory, self.name)


def chosen(args: argparse.Namespace) -> dict[Place, Hook]:
    """The places to switch, and whose each is now.  Raises ``CommandError``."""
    from backend.hook.places import NAME, PROXY, proxies, state

    for directory in args.libexec:
        if not os.path.isdir(directory):
            raise CommandError(f"--libexec {directory}: no such directory")
    directories = [os.path.abspath(directory) for directory in args.libexec]
    found = {
        **{Place(directory, NAME): hook for directory, hook in state(directories).items()},
        **{Place(directory, PROXY): hook for directory, hook in proxies(directories).items()},
    }
    if not found:
        raise CommandError(
            "no Xen tools found in /usr/lib, /usr/libexec or /usr/local; "
            "name the directory that holds libxl's programs with --libexec"
        )
    return found


def switched(switch: Callable[[str, str], bool], places: Iterable[Place]) -> dict[Place, bool]:
    """Switch each; whether that changed something.  Raises ``CommandError``, ``OSError``."""
    from backend.hook.switch import SwitchError

    try:
        return {place: switch(*place) for place in places}
    except SwitchError as error:
        raise CommandError(str(error)) from error


def check_unused(args: argparse.Namespace, who: str) -> None:
    """Raises ``CommandError`` while guests use devices: they cannot change their backend."""
    from backend.hook.claim import connected

    try:
        with open_store(load_config(args).platform) as (store, own):
            devices = connected(store, own)
    except CommandError:
        return  # no XenStore, so no guests
    if devices:
        more = ", ..." if len(devices) > _SHOWN else ""
        raise CommandError(
            f"{who} serves {', '.join(devices[:_SHOWN])}{more}, and a running guest cannot change "
            "its backend: shut these guests down first, or give --force, and they lose their shares"
        )


def clear_stale(args: argparse.Namespace) -> None:
    """Let libxl start the program that is in place now, also after a crash of the last one."""
    from backend.hook import claim

    with contextlib.suppress(CommandError), open_store(load_config(args).platform) as (store, own):
        claim.clear_stale(store, own)  # without a XenStore there is no node


def say(
    args: argparse.Namespace, before: Mapping[Place, Hook], changed: Mapping[Place, bool]
) -> None:
    """Print whose each place is now, and whether that is new."""
    from backend.hook.places import KEPT, Hook, hook_in

    now = {place: hook_in(*place) for place in before}
    if args.json:
        entries = [
            {
                "directory": place.directory,
                "program": place.name,
                "hook": hook.value,
                "before": before[place].value,
                "changed": changed.get(place, False),
            }
            for place, hook in now.items()
        ]
        sys.stdout.write(json.dumps({"directories": entries}, indent=2) + "\n")
        return
    words = {
        Hook.OURS: "xen-fileproxy",
        Hook.THEIRS: "Xen's own",
        Hook.NONE: "nothing there",
        Hook.OLD: "nothing to do: libxl starts no backend before Xen 4.19",
    }
    for place, hook in now.items():
        kept = f"; Xen's own is kept as {place.name}{KEPT}"
        new = "now " if changed.get(place) else ""
        what = words[hook] + (kept if os.path.lexists(place.path + KEPT) else "")
        sys.stdout.write(f"{place.path}: {new}{what}\n")
