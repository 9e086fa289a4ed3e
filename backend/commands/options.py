"""Options that several commands share."""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
from typing import TYPE_CHECKING

from backend import config
from backend.commands.failure import CommandError
from backend.config import DEFAULT_PATH, ConfigError
from protocol.xenpv.ids import DOMID_FIRST_RESERVED, Devid, Domid

if TYPE_CHECKING:
    from backend.config import Config


def add_config(parser: argparse.ArgumentParser) -> None:
    """``--config`` and ``--platform``."""
    parser.add_argument(
        "--config", metavar="FILE", help=f"configuration (default: {DEFAULT_PATH} where it exists)"
    )
    parser.add_argument(
        "--platform",
        metavar="NAME",
        help="xen, or embedded:DIR for the development hypervisor that runs in DIR",
    )


def add_run_dir(parser: argparse.ArgumentParser) -> None:
    """``--run-dir``."""
    parser.add_argument(
        "--run-dir",
        metavar="DIR",
        help="where the supervisor keeps its lock and status socket (default: as configured)",
    )


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """``-v``."""
    parser.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="log debug messages; -vv shows the traceback of an internal error too",
    )


def add_no_sandbox(parser: argparse.ArgumentParser) -> None:
    """``--no-sandbox``."""
    parser.add_argument(
        "--no-sandbox",
        action="store_true",
        help="for debugging: processes that serve guests keep all the rights they are started with",
    )


def load_config(args: argparse.Namespace) -> Config:
    """The configuration with the command line's options in it.  Raises ``CommandError``."""
    try:
        loaded = config.load(args.config)
        for key in ("platform", "run-dir"):
            value = getattr(args, key.replace("-", "_"), None)
            if value is not None:
                config.check_value(key, value)
        if getattr(args, "no_sandbox", False):
            off = dataclasses.replace(loaded.confinement, sandbox=False)
            loaded = dataclasses.replace(loaded, confinement=off)
        return dataclasses.replace(
            loaded,
            platform=args.platform or loaded.platform,
            run_dir=getattr(args, "run_dir", None) or run_dir_for(os.geteuid(), loaded.run_dir),
            log_level="debug" if getattr(args, "verbose", 0) else loaded.log_level,
        )
    except ConfigError as error:
        raise CommandError(str(error)) from error


def run_dir_for(uid: int, configured: str) -> str:
    """``configured``, or where user ``uid`` may write if that is root's default."""
    if uid == 0 or configured != config.Config().run_dir:
        return configured
    personal = os.environ.get("XDG_RUNTIME_DIR")
    if personal:
        return os.path.join(personal, "xen-fileproxy")
    return os.path.join(tempfile.gettempdir(), f"xen-fileproxy-{uid}")


def domid(text: str) -> Domid:
    """A domain's number, for argparse."""
    return Domid(_number(text, "a domain's number", DOMID_FIRST_RESERVED - 1))


def devid(text: str) -> Devid:
    """A device's number, for argparse."""
    return Devid(_number(text, "a device's number", 0x7FFF_FFFF))


def seconds(text: str) -> float:
    """A time to wait, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 86400")
    return value


def _number(text: str, what: str, high: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}, 0 to {high}")
    return int(text)
