"""``xen-fileproxy-front``: connects to a share, runs one command, and says in one line what failed.

Exit codes: 0 done, 1 the operation failed, 2 wrong usage, 3 no connection, 130 interrupted,
143 terminated.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Final, NoReturn

from frontend_stub.commands.number import number
from protocol.xenpv.ids import DOMID_FIRST_RESERVED, Domid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frontend_stub.client import Client

PROGRAM: Final = "xen-fileproxy-front"

COMMANDS: Final = ("ls", "stat", "cat", "get", "put", "rm", "mkdir", "mv", "df", "bridge")

DONE, FAILED, USAGE, NO_CONNECTION, INTERRUPTED = 0, 1, 2, 3, 130

_EPILOG: Final = """\
environment:
  XEN_FILEPROXY_PLATFORM  default of --platform
  XEN_FILEPROXY_DOMID     default of --domid

exit codes:
  0 done, 1 the operation failed, 2 wrong usage, 3 no connection to the share,
  130 interrupted, 143 terminated

example:
  xen-fileproxy-front --tag state put - qemu-save.7 < state

'xen-fileproxy-front COMMAND --help' explains a command and gives an example."""

log = logging.getLogger(PROGRAM)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Uses a share of Dom0 from a guest, over the Xen 9pfs rings or a socket.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_connection(top)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"frontend_stub.commands.{name}")
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.HELP[0].upper() + module.HELP[1:] + ".",
            epilog=f"example: {module.EXAMPLE}",
            allow_abbrev=False,
        )
        module.arguments(command)
        command.set_defaults(run=module.run)
    return top


def _add_connection(top: argparse.ArgumentParser) -> None:
    top.add_argument(
        "--platform",
        default=os.environ.get("XEN_FILEPROXY_PLATFORM", "xen"),
        help="xen, or embedded:DIR (default: %(default)s)",
    )
    top.add_argument(
        "--domid",
        type=number("a domid", 0, DOMID_FIRST_RESERVED - 1),
        default=os.environ.get("XEN_FILEPROXY_DOMID"),
        metavar="N",
        help="the domain to be, on the embedded platform",
    )
    which = top.add_mutually_exclusive_group()
    which.add_argument("--tag", help="the device with this mount tag")
    which.add_argument(
        "--device",
        type=number("a device number", 0, 0xFFFF_FFFF),
        metavar="N",
        help="the device with this number (default: the only one there is)",
    )
    which.add_argument(
        "--connect",
        metavar="ADDRESS",
        help="no device: a 9P server at unix:PATH or tcp:HOST:PORT",
    )
    top.add_argument("--aname", default="/", help="the tree to attach to (default: %(default)s)")
    top.add_argument(
        "--rings",
        type=number("a number of rings", 1, 9),
        default=2,
        metavar="N",
        help="rings to offer, 1 to 9 (default: %(default)s)",
    )
    top.add_argument(
        "--order",
        type=number("an order", 1, 9),
        default=9,
        metavar="N",
        help="2**N pages for each ring, 1 to 9 (default: %(default)s)",
    )
    top.add_argument(
        "--msize",
        type=number("an msize", 4096, 0xFFFF_FFFF),
        metavar="BYTES",
        help="the largest message, at least 4096 (default: as large as the ring allows)",
    )
    top.add_argument(
        "--timeout",
        type=number("a number of seconds", 1, 86400),
        default=300,
        metavar="SECONDS",
        help="how long to wait for one answer (default: %(default)s)",
    )
    top.add_argument("-v", "--verbose", action="store_true", help="say what is connected to what")


def connect(args: argparse.Namespace) -> Client:
    """The client that the options ask for.  Raises ``OSError`` or ``ValueError``."""
    from frontend_stub.connect import connect_device, connect_socket

    if args.connect is not None:
        return connect_socket(args.connect, msize=args.msize, timeout=args.timeout)
    if args.domid is None and args.platform.startswith("embedded:"):
        raise ValueError(
            "the embedded platform needs --domid (or XEN_FILEPROXY_DOMID): the domain to be"
        )
    return connect_device(
        args.platform,
        Domid(args.domid or 0),
        tag=args.tag,
        devid=args.device,
        rings=args.rings,
        order=args.order,
        msize=args.msize,
        timeout=args.timeout,
    )


def run(args: argparse.Namespace) -> int:
    """Connect, run the command, disconnect; the exit code."""
    from frontend_stub.share import Share

    try:
        share = Share.attach(connect(args), args.aname)
    except ValueError as error:
        complain(str(error))
        return USAGE
    except OSError as error:
        where = "" if args.connect else f" on {args.platform}"
        complain(f"cannot connect{where}: {describe(error)}")
        return NO_CONNECTION
    with share:
        log.info("%s: msize %d", share.client.name, share.client.msize)
        try:
            code: int = args.run(share, args)
            sys.stdout.flush()
        except OSError as error:
            if isinstance(error, BrokenPipeError) and error.filename is None:
                # Whoever read our output has enough.  Nothing may be written at exit either.
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            else:
                complain(f"{args.command}: {describe(error)}")
            return FAILED
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _terminated)
    verbose = False
    try:
        args = parser().parse_args(argv)
        verbose = args.verbose
        _set_up_output(verbose)
        return run(args)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- the last resort: one line, never a traceback
        complain(f"internal error: {type(error).__name__}: {error} (-v shows where)")
        if verbose:
            traceback.print_exc()
        return FAILED


def _set_up_output(verbose: bool) -> None:
    # Names are bytes: what is not UTF-8 goes out as it came in.
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format=f"{PROGRAM}: %(message)s",
        stream=sys.stderr,
    )


def describe(error: OSError) -> str:
    """What failed and why, without Python's decoration."""
    what = error.strerror or str(error)
    return what if error.filename is None else f"{os.fsdecode(error.filename)}: {what}"


def complain(text: str) -> None:
    """One line for the user."""
    sys.stderr.write(f"{PROGRAM}: {text}\n")


def _terminated(signum: int, frame: object) -> NoReturn:
    """Leave in order, so that the device is closed and no temporary file stays behind."""
    del frame
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
