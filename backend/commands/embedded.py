"""``embedded``: the development hypervisor, to try everything without Xen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from backend.commands.options import domid

if TYPE_CHECKING:
    import argparse

HELP = "run the development hypervisor, and make domains in it"
EXAMPLE = "xen-fileproxy embedded run --dir /tmp/hv & xen-fileproxy embedded create 5 --dir /tmp/hv"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, what in (
        ("run", "run a hypervisor and its XenStore in the foreground, until interrupted"),
        ("create", "create a domain"),
        ("destroy", "destroy a domain"),
        ("list", "list the domains"),
    ):
        action = actions.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
        action.add_argument(
            "--dir", metavar="DIR", required=True, help="the hypervisor's directory"
        )
        if name in ("create", "destroy"):
            action.add_argument("domid", metavar="DOMID", type=domid, help="the domain's number")


def run(args: argparse.Namespace) -> int:
    """Do one of the actions."""
    if args.action == "run":
        from backend.platform.embedded.server import serve

        serve(args.dir, None)
        return 0
    from backend.platform.embedded.hypervisor import HypervisorControl

    with HypervisorControl(args.dir) as control:
        if args.action == "create":
            control.create_domain(args.domid)
        elif args.action == "destroy":
            control.destroy_domain(args.domid)
        else:
            sys.stdout.writelines(f"{number}\n" for number in control.domains())
    return 0
