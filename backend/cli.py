"""``xen-fileproxy``: finds the command, runs it, and turns what goes wrong into one line."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from typing import TYPE_CHECKING, Final, NoReturn

from backend.commands.failure import CommandError
from backend.commands.table import printable
from backend.config import DEFAULT_PATH, Config

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM: Final = "xen-fileproxy"

COMMANDS: Final = (
    "run",
    "status",
    "stop",
    "upgrade",
    "attach",
    "detach",
    "list",
    "serve",
    "qmp",
    "qmp-proxy",
    "doctor",
    "install-hook",
    "remove-hook",
    "check-config",
    "describe",
    "embedded",
)

_EPILOG: Final = f"""\
exit codes:
  0 done, 1 failed, 2 wrong usage, 130 interrupted

files:
  {DEFAULT_PATH}  configuration
  {Config().run_dir}  the running supervisor's lock and status socket

example:
  xen-fileproxy attach guest1 --path /srv/files --tag files
  mount -t 9p -o trans=xen,version=9p2000.L,msize=524288 files /mnt   (in the guest)

'{PROGRAM} COMMAND --help' explains a command and gives an example."""


class _Version(argparse.Action):
    """Reads the version only when it is asked for: that takes longer than the rest."""

    def __call__(self, parser: argparse.ArgumentParser, *_rest: object) -> NoReturn:
        from backend.version import version

        print(f"{PROGRAM} {version()}")
        parser.exit()


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The whole command line; of commands but ``only`` nothing but the names.

    To load what all commands want takes longer than what most of them do.
    """
    top = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Serves files from Dom0 to Xen guests over 9P.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        if only not in (None, name):
            commands.add_parser(name)
            continue
        module = importlib.import_module(f"backend.commands.{name.replace('-', '_')}")
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    words = sys.argv[1:] if argv is None else argv
    args = parser(words[0] if words and words[0] in COMMANDS else None).parse_args(words)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough.  Nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except CommandError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(_said(error))
    except Exception as error:  # noqa: BLE001 -- no traceback unless it was asked for
        if getattr(args, "verbose", 0) > 1:
            traceback.print_exc()
        return _failed(f"internal error: {type(error).__name__}: {error} (-vv shows where)")
    return code


def _failed(text: str) -> int:
    print(f"{PROGRAM}: error: {printable(' '.join(text.split()))}", file=sys.stderr)
    return 1


def _said(error: OSError) -> str:
    text = error.strerror or str(error)
    return f"{os.fsdecode(error.filename)}: {text}" if error.filename else text


if __name__ == "__main__":
    sys.exit(main())
