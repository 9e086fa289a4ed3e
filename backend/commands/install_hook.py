"""``install-hook``: makes libxl start our programs for ``p9`` devices, and for monitors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.commands.failure import CommandError
from backend.commands.hook_options import add_hook, check_unused, chosen, clear_stale, say, switched

if TYPE_CHECKING:
    import argparse

HELP = (
    "make libxl start this program instead of xen-9pfsd, for p9 devices, and of "
    "vchan-socket-proxy, for the monitors of stub domains that have a channel of ours"
)
EXAMPLE = "xen-fileproxy install-hook && xl create guest.cfg"


_END = 10.0
"""Seconds until Xen's daemon has let go of its devices, or has not."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_hook(parser, force="end a xen-9pfsd that serves guests: they lose their shares")
    parser.add_argument(
        "--status", action="store_true", help="change nothing, say whose each directory is"
    )


def run(args: argparse.Namespace) -> int:
    """Check who serves, put the links in place, end Xen's daemon."""
    from backend.hook import switch
    from backend.hook.daemon import daemons
    from backend.hook.places import Hook

    places = chosen(args)
    if args.status:
        say(args, places, {})
        return 0
    others = daemons()
    if others and not args.force:
        check_unused(args, f"xen-9pfsd (process {others[0]})")
    # Whoever names a directory knows better what its libxl can do than we do.
    wanted = [place for place, hook in places.items() if args.libexec or hook is not Hook.OLD]
    changed = switched(switch.install, wanted)
    _end(others)
    if wanted:
        clear_stale(args)
        _enable()
    say(args, places, changed)
    return 0


def _end(others: list[int]) -> None:
    from backend.hook.daemon import IN_ORDER, end

    for pid in others:
        if not end(pid, IN_ORDER, _END):
            raise CommandError(
                f"the link is in place, but xen-9pfsd (process {pid}) does not end; libxl goes on "
                f"using it until it does: kill -KILL {pid}"
            )


def _enable() -> None:
    from backend.hook.unit import UNIT, systemctl

    systemctl("enable", UNIT)
