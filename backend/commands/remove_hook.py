"""``remove-hook``: gives libxl the programs back that it had before ``install-hook``."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from backend.commands.failure import CommandError
from backend.commands.hook_options import add_hook, check_unused, chosen, clear_stale, say, switched
from backend.commands.options import load_config

if TYPE_CHECKING:
    import argparse

HELP = "make libxl start Xen's own xen-9pfsd and vchan-socket-proxy again, as before install-hook"
EXAMPLE = "xen-fileproxy remove-hook"

_END = 30.0
"""Seconds until the supervisor has closed its devices, or has not."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_hook(parser, force="end our supervisor though it serves guests: they lose their shares")


def run(args: argparse.Namespace) -> int:
    """Check who is served, put back what was there, end our supervisor."""
    from backend.hook import switch
    from backend.hook.places import NAME, Hook, proxies, state

    if not (args.libexec or state() or proxies()):
        return 0  # Xen's tools went before us: a package's removal goes on
    places = chosen(args)
    # A proxy is its domain's own process, and goes on: only the daemon has others it serves.
    ours = Hook.OURS in {hook for place, hook in places.items() if place.name == NAME}
    supervisor = _supervisor(args) if ours else None
    if ours and not (args.force and supervisor):
        # Without a supervisor, workers that it left behind may serve; they end through a new one.
        check_unused(args, "xen-fileproxy")
    changed = switched(switch.remove, places)
    if supervisor is not None:
        _end(supervisor)
    if ours:
        clear_stale(args)
        _disable()
    say(args, places, changed)
    return 0


def _supervisor(args: argparse.Namespace) -> int | None:
    """The process that serves, if one does."""
    from backend.commands.supervisor import ask

    socket = load_config(args).status_socket
    if not os.path.exists(socket):
        return None
    try:
        return int(ask(socket)["pid"])
    except CommandError:
        # A socket that nobody answers at was left by one that was killed.
        return None


def _end(supervisor: int) -> None:
    """While it runs, libxl finds a backend running and starts no other."""
    from backend.hook.daemon import end

    # What makes it close its devices; at SIGTERM their workers would go on without it.
    if not end(supervisor, signal.SIGINT, _END):
        raise CommandError(
            f"the link is gone, but our supervisor (process {supervisor}) does not end; libxl goes "
            "on using it until it does"
        )


def _disable() -> None:
    from backend.hook.unit import UNIT, systemctl

    systemctl("disable", UNIT)
