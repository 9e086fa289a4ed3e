"""``check-config``: reads a configuration without starting anything."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from backend.commands.failure import CommandError
from backend.config import DEFAULT_PATH, ConfigError, load

if TYPE_CHECKING:
    import argparse

HELP = "check a configuration file, or print the reference of all keys"
EXAMPLE = "xen-fileproxy check-config /etc/xen/xen-fileproxy.toml"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("file", nargs="?", metavar="FILE", help=f"(default: {DEFAULT_PATH})")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--reference", action="store_true", help="print docs/configuration.md instead"
    )
    instead.add_argument(
        "--template", action="store_true", help="print a file with all keys, commented, instead"
    )


def run(args: argparse.Namespace) -> int:
    """Say whether the file is good."""
    from backend.config_reference import reference, template

    if args.reference or args.template:
        sys.stdout.write(reference() if args.reference else template())
        return 0
    path = args.file or DEFAULT_PATH
    try:
        load(path)
    except ConfigError as error:
        raise CommandError(str(error)) from error
    sys.stdout.write(f"{path}: good\n")
    return 0
